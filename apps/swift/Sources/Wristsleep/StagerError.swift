import Foundation

/// An error of this library. The message names what was given and what was expected.
public struct StagerError: Error, LocalizedError, Equatable, Sendable {
    /// Error codes, with the same names (`rawValue`) in the libraries of all languages.
    public enum Code: String, CaseIterable, Sendable {
        case unknownSensor = "unknown_sensor"
        case wrongValueCount = "wrong_value_count"
        /// A time more than a night after the start: milliseconds, or a night that was not begun with `reset`.
        case timeBeyondNight = "time_beyond_night"
        /// NaN or infinite.
        case notATime = "not_a_time"
        case unknownPrecision = "unknown_precision"
        case unknownOperatingPoint = "unknown_operating_point"
        case missingFile = "missing_file"
        /// A file that is not the one that the contract describes, by its SHA-256.
        case alteredFile = "altered_file"
        /// contract.json is not the one that the app was built for, by its SHA-256.
        case alteredContract = "altered_contract"
        /// contract.json is of another format, or a field is missing or wrong: the message has its path.
        case unsupportedContract = "unsupported_contract"
        /// The contract says that a file goes wrong in this runtime, or the runtime cannot load it.
        case refusedRuntime = "refused_runtime"
        /// Bytes that another model saved, or one at another operating point, or damaged ones.
        case wrongState = "wrong_state"
        case unknownPlatform = "unknown_platform"
        case unknownZone = "unknown_zone"
    }

    public let code: Code
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var errorDescription: String? { message }
}

/// The entry of a name, or an error that lists the known names.
func oneOf<T>(_ code: StagerError.Code, _ what: String, _ name: String, _ entries: [String: T]) throws -> T {
    guard let found = entries[name] else {
        let names = entries.keys.sorted().joined(separator: ", ")
        throw StagerError(code, "\(what) '\(name)': expected one of \(names)")
    }
    return found
}
