/** Sensors that can be fed. */
export type Sensor = "heart_rate" | "motion" | "steps" | "activity";
export type Stage = "Wake" | "N1" | "N2" | "N3" | "REM";
export type Reason = "not_a_number" | "wrong_unit" | "out_of_range" | "late" | "repeated";

export interface Coverage {
  /** Of the strides of the last ten minutes, those with a value: 0 to 1. */
  share: number;
  /** From the newest value to the end of the window, s; null if there has been none. */
  secondsSince: number | null;
}

export interface Epoch {
  /** When its stride begins, s. */
  time: number;
  /** "Unknown" where too little was sensed. */
  stage: Stage | "Unknown";
  /** Of Wake, N1, N2, N3, REM; they mean nothing where the stage is unknown. */
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
  /** Unix time of t=0, where times count from the recording's start. */
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

/** Everything that this library refuses. */
export class StagerError extends Error {
  constructor(code: ErrorCode, message: string);
  readonly code: ErrorCode;
}

/** What is used of the module @litertjs/core. */
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
  /** When the first window begins, s; by default 0. */
  start?: number;
  /** To weigh the probabilities; null leaves them as they are. */
  operatingPoint?: string | null;
  /** SHA-256 of contract.json: any other contract is refused. */
  contractSha256?: string | null;
  /** By default what loadLitert() gives. */
  litert?: LiteRt | null;
  /** For LiteRT.js's loadAndCompile. */
  options?: Record<string, unknown>;
}

/** Takes samples of one night, gives its stages. Times are seconds of any one clock. */
export class SleepStager {
  private constructor();
  static create(options: Options): Promise<SleepStager>;
  /** Probabilities at an operating point: times its weights, divided by their sum. */
  static weigh(probabilities: Float32Array, weights: readonly number[]): Float32Array;

  /** contract.json of the bundle. */
  readonly contract: Readonly<Record<string, any>>;
  /** Its digest, to pin it by. */
  readonly contractSha256: string;
  /** Trained on simulated nights: its stages say nothing about people. */
  readonly simulated: boolean;
  /** When the night's first window begins, s. */
  readonly start: number;
  /** What was fed and not taken, samples by sensor and reason. */
  readonly dropped: Record<Sensor, Record<Reason, number>>;
  /** What seems wrong with a sensor's unit. */
  readonly findings: string[];

  /** Take a sample: bpm, [x, y, z] in g, or the count of a bin with the time at which it ends. t: s. */
  feed<S extends Sensor>(sensor: S, t: number, value: S extends "motion" ? ArrayLike<number> : number): void;
  /** Stages of the windows that are full. now: a time up to which every sensor has delivered, s. */
  take(now?: number | null): Promise<Epoch[]>;
  /** One window by hand, {channel: values}; gives the model's probabilities, not weighed. */
  step(window: Record<string, ArrayLike<number>>): Promise<Float32Array>;
  /** Begin a night; a take under way finishes the one that it was asked of. */
  reset(start?: number): void;
  /** All that is under way, as text. */
  save(): string;
  /** Go on as if what saved this text had never stopped. */
  restore(text: string): void;
  segments(epochs: Iterable<Pick<Epoch, "time" | "stage">>, options?: SegmentOptions): Segment[];
  /** Free the models, when a take under way is done. */
  delete(): Promise<void>;
}

/** Epochs as segments of a health store: runs of equal value, none overlapping, a gap where the stage is unknown. */
export function segments(epochs: Iterable<Pick<Epoch, "time" | "stage">>, options?: SegmentOptions): Segment[];
