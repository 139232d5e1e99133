/** Sensors that can be fed. */
export type Sensor = "heart_rate" | "motion" | "steps" | "activity";
export type Stage = "Wake" | "N1" | "N2" | "N3" | "REM";
export type Reason = "not_a_number" | "wrong_unit" | "out_of_range" | "late" | "repeated";

export interface Coverage {
  /** Share of the strides of the last ten minutes that have a value, 0 to 1. */
  share: number;
  /** Seconds from the newest value to the end of the window; null if there has been none. */
  secondsSince: number | null;
}

export interface Epoch {
  /** Start of its stride, s. */
  time: number;
  /** "Unknown" if there are too few data. */
  stage: Stage | "Unknown";
  /** Of Wake, N1, N2, N3, REM; meaningless if the stage is unknown. */
  probabilities: Float32Array;
  /** Of each sensor that the model takes. */
  coverage: Partial<Record<Sensor, Coverage>>;
}

export type Platform = "healthkit" | "health_connect";

export interface SegmentOptions {
  /** Length of an epoch, s; by default 30, or the stride of the stager whose method it is. */
  seconds?: number;
  /** IANA name, such as Europe/Berlin, or an offset, such as +02:00; by default that of the device. */
  zone?: string;
  /** By default healthkit. */
  platform?: Platform;
  /** Unix time of t=0, if times are since the recording's start. */
  origin?: number;
}

export interface Segment {
  /** ISO 8601, with the offset that the zone has then. */
  start: string;
  end: string;
  /** Name of the value on the platform. */
  stage: "awake" | "asleepCore" | "asleepDeep" | "asleepREM" | "AWAKE" | "LIGHT" | "DEEP" | "REM";
  /** HKCategoryValueSleepAnalysis, or SleepSessionRecord.STAGE_TYPE_. */
  value: number;
}

export type ErrorCode =
  | "unknown_sensor"
  | "wrong_value_count"
  | "time_beyond_night"
  | "not_a_time"
  | "unknown_precision"
  | "unknown_operating_point"
  | "missing_file"
  | "altered_file"
  | "altered_contract"
  | "unsupported_contract"
  | "refused_runtime"
  | "wrong_state"
  | "unknown_platform"
  | "unknown_zone";

/** An error of this library. */
export class StagerError extends Error {
  constructor(code: ErrorCode, message: string);
  readonly code: ErrorCode;
}

/** The used part of the module @litertjs/core. */
export interface LiteRt {
  loadAndCompile(model: Uint8Array, options: any): Promise<any>;
  loadLiteRt(path: string | URL, options?: any): Promise<any>;
  Tensor: any;
}

/** LiteRT.js with its runtime loaded, once. wasm: address of the folder wasm/ of @litertjs/core. */
export function loadLitert(options?: { litert?: LiteRt; wasm?: string | URL }): Promise<LiteRt>;

export interface Options {
  /** Address of the bundle's folder; in Node also a path. */
  base?: string | URL;
  /** In place of base: gives the bytes of a file of the bundle. */
  read?: (name: string) => Promise<Uint8Array | ArrayBuffer>;
  /** By default int8. */
  precision?: string;
  /** Start of the first window, s; by default 0. */
  start?: number;
  /** To weight the probabilities; null for none. */
  operatingPoint?: string | null;
  /** SHA-256 of contract.json: any other contract is refused. */
  contractSha256?: string | null;
  /** By default what loadLitert() gives. */
  litert?: LiteRt | null;
  /** For LiteRT.js's loadAndCompile. */
  options?: Record<string, unknown>;
}

/** Takes the samples of one night and returns its stages. Times are seconds of any one clock. */
export class SleepStager {
  private constructor();
  static create(options: Options): Promise<SleepStager>;
  /** Probabilities at an operating point: times its weights, divided by their sum. */
  static weigh(probabilities: Float32Array, weights: readonly number[]): Float32Array;

  /** contract.json of the bundle. */
  readonly contract: Readonly<Record<string, any>>;
  /** Digest of contract.json, to pin it. */
  readonly contractSha256: string;
  /** Trained on simulated nights: its stages say nothing about people. */
  readonly simulated: boolean;
  /** Start of the night's first window, s. */
  readonly start: number;
  /** Number of samples dropped, by sensor and reason. */
  readonly dropped: Record<Sensor, Record<Reason, number>>;
  /** What seems wrong with a sensor's unit. */
  readonly findings: string[];

  /** Take a sample: bpm, [x, y, z] in g, or the count of a bin with the time at which it ends. t: s. */
  feed<S extends Sensor>(sensor: S, t: number, value: S extends "motion" ? ArrayLike<number> : number): void;
  /** Stages of the closed windows. now: a time up to which all sensors have delivered, s. */
  take(now?: number | null): Promise<Epoch[]>;
  /** Run the model on one window, {channel: values}; returns its probabilities, without an operating point. */
  step(window: Record<string, ArrayLike<number>>): Promise<Float32Array>;
  /** Begin a night; a running take finishes the night it was called for. */
  reset(start?: number): void;
  /** The whole state, as text. */
  save(): string;
  /** Resume from saved text, as if the stager had never stopped. */
  restore(text: string): void;
  segments(epochs: Iterable<Pick<Epoch, "time" | "stage">>, options?: SegmentOptions): Segment[];
  /** Free the models, after a running take. */
  delete(): Promise<void>;
}

/** Epochs as segments of a health store: runs of equal value, without overlaps, with gaps for unknown stages. */
export function segments(epochs: Iterable<Pick<Epoch, "time" | "stage">>, options?: SegmentOptions): Segment[];
