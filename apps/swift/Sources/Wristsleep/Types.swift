import Foundation

/// What can be fed. `rawValue`: its name in contract.json.
public enum Sensor: String, CaseIterable, Codable, Sendable {
    /// bpm.
    case heartRate = "heart_rate"
    /// x, y, z in g, gravity included, as Core Motion gives them: of a watch at rest about 1 g.
    case motion = "motion"
    /// Steps of a bin, fed at its end.
    case steps = "steps"
    /// Activity count of a bin, fed at its end.
    case activity = "activity"

    /// The sensor of a name, such as heart_rate.
    ///
    /// - Throws: `StagerError` of code `unknownSensor`.
    public init(named name: String) throws {
        guard let found = Sensor(rawValue: name) else {
            let names = Sensor.allCases.map { $0.rawValue }.joined(separator: ", ")
            throw StagerError(.unknownSensor, "sensor '\(name)': expected one of \(names)")
        }
        self = found
    }

    var valueCount: Int { self == .motion ? 3 : 1 }

    // What the format fixes.

    /// What a sample may be.
    var limits: ClosedRange<Double> {
        switch self {
        case .heartRate: return 20...250
        case .motion: return -16...16
        case .steps: return 0...10_000
        case .activity: return 0...100_000
        }
    }

    /// What stands for not sensed.
    var missing: Double {
        switch self {
        case .heartRate: return 0
        case .motion: return -100
        case .steps, .activity: return -1
        }
    }

    /// Samples are bins, fed at their end.
    var isSum: Bool { self == .steps || self == .activity }

    /// The channels that it can fill, in the order of its values; motion's fourth is its magnitude.
    var channels: [String] {
        self == .motion ? ["motion_x", "motion_y", "motion_z", "motion_magnitude"] : [rawValue]
    }
}

/// One sample. `t`: s. `values`: x, y, z of motion, else a number.
public struct Sample: Codable, Equatable, Sendable {
    public let sensor: Sensor
    public let t: Double
    public let values: [Double]

    public init(_ sensor: Sensor, _ t: Double, _ values: [Double]) {
        self.sensor = sensor
        self.t = t
        self.values = values
    }
}

/// Why a sample was dropped, in the order of the checks. `rawValue`: its name in every
/// language.
public enum DropReason: String, CaseIterable, Codable, Sendable {
    case notANumber = "not_a_number"
    /// Motion that is not in g: see `findings`.
    case wrongUnit = "wrong_unit"
    case outOfRange = "out_of_range"
    /// Its window is closed, or it is before the start.
    case late = "late"
    /// A sample of the same sensor and time was taken before.
    case repeated = "repeated"
}

/// `rawValue`: as the contract has it.
public enum Stage: String, CaseIterable, Codable, Sendable {
    case wake = "Wake"
    case n1 = "N1"
    case n2 = "N2"
    case n3 = "N3"
    case rem = "REM"
    /// Too few data to predict a stage: off the wrist, or no signal.
    case unknown = "Unknown"

    /// The stages that have a probability, in that order.
    static let scored: [Stage] = [.wake, .n1, .n2, .n3, .rem]

    /// Its value in a health store; nil for unknown.
    func value(in store: HealthStore) -> Int? {
        switch store {
        case .healthKit: return healthKit
        case .healthConnect: return healthConnect
        }
    }

    /// HKCategoryValueSleepAnalysis.
    private var healthKit: Int? {
        switch self {
        case .wake: return 2
        case .n1: return 3
        case .n2: return 3
        case .n3: return 4
        case .rem: return 5
        case .unknown: return nil
        }
    }

    /// SleepSessionRecord.STAGE_TYPE.
    private var healthConnect: Int? {
        switch self {
        case .wake: return 1
        case .n1: return 4
        case .n2: return 4
        case .n3: return 5
        case .rem: return 6
        case .unknown: return nil
        }
    }
}

/// Coverage of one sensor at a window.
public struct SensorCoverage: Codable, Equatable, Sendable {
    /// Share of the strides of the last ten minutes that have a value.
    public let share: Double
    /// Seconds from the newest value to the end of the window; nil if there has been none.
    public let secondsSince: Double?
}

/// The stage of one stride.
public struct Epoch: Codable, Equatable, Sendable {
    /// s, when it begins.
    public let time: Double
    /// How long it lasts.
    public let seconds: Int
    public let stage: Stage
    /// Of Wake, N1, N2, N3, REM; meaningless if the stage is unknown.
    public let probabilities: [Float]
    /// Of the sensors that the model takes.
    public let coverage: [Sensor: SensorCoverage]
}

/// Whose stage codes segments have. `rawValue`: its name in every language.
public enum HealthStore: String, CaseIterable, Sendable {
    case healthKit = "healthkit"
    case healthConnect = "health_connect"

    /// The store of a name, such as healthkit.
    ///
    /// - Throws: `StagerError` of code `unknownPlatform`.
    public init(named name: String) throws {
        guard let found = HealthStore(rawValue: name) else {
            let names = HealthStore.allCases.map { $0.rawValue }.joined(separator: ", ")
            throw StagerError(.unknownPlatform, "platform '\(name)': expected one of \(names)")
        }
        self = found
    }
}

/// A run of one value of a health store.
public struct Segment: Equatable, Sendable {
    public let start: Date
    /// s from UTC that the zone has at the start.
    public let startOffset: Int
    public let end: Date
    /// s from UTC that the zone has at the end.
    public let endOffset: Int
    /// The name of `value`.
    public let stage: String
    public let value: Int
}
