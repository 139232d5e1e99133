import Foundation

private let format = "wristsleep-contract/1"

/// A channel has `values` per window, each over `seconds`: the sum or the mean of what was sensed, or `missing`.
struct Channel {
    let name: String
    let values: Int
    let seconds: Int
    let missing: Float
    let isSum: Bool
    /// How many values are new in a window.
    let newest: Int

    init(_ field: Field, stride: Int) throws {
        let values = try field.get("values_per_window").size()
        let seconds = try field.get("seconds_per_value").size()
        let newest = stride / seconds
        guard stride % seconds == 0 && newest >= 1 && values >= newest else {
            throw field.wrong("its values do not fit a stride of \(stride) s")
        }
        self.name = try field.get("name").text()
        self.values = values
        self.seconds = seconds
        self.missing = Float(try field.get("missing").number())
        self.isSum = try isSumField(field)
        self.newest = newest
    }
}

/// A channel that a sensor fills, and its place among the sensor's values.
struct FilledChannel {
    let channel: Channel
    let place: Int
}

/// Samples outside `range` count as not sensed. `isSum`: they are bins, fed at their end.
struct SensorEntry {
    let range: ClosedRange<Double>
    let isSum: Bool
    /// The model's channels that it fills.
    let channels: [FilledChannel]

    init(_ field: Field, sensor: Sensor, all: [Channel]) throws {
        range = try field.get("range").range()
        isSum = try isSumField(field)
        let places = sensor == .motion ? 4 : 1  // motion's fourth is its magnitude
        var names: [String] = []
        for name in try field.get("channels").list() {
            names.append(try name.text())
        }
        guard names.count <= places else {
            throw try field.get("channels").wrong("\(names.count) channels, expected \(places) at most")
        }
        var found: [FilledChannel] = []
        for channel in all {
            if let place = names.firstIndex(of: channel.name) {
                found.append(FilledChannel(channel: channel, place: place))
            }
        }
        channels = found
    }
}

private func isSumField(_ field: Field) throws -> Bool {
    let value = try field.get("value")
    let text = try value.text()
    guard text == "sum" || text == "mean" else { throw value.wrong("'\(text)': expected sum or mean") }
    return text == "sum"
}

/// When no stage is given, and how far coverage looks back. Times in s.
struct UnknownRule {
    let absent: Double
    let offWrist: Double
    let offWristBlind: Double
    let coverage: Double

    init(_ field: Field) throws {
        absent = try field.get("absent_seconds").number()
        offWrist = try field.get("off_wrist_seconds").number()
        offWristBlind = try field.get("off_wrist_blind_seconds").number()
        coverage = try field.get("coverage_seconds").number()
        guard abs(coverage) <= 1e9 else { throw try field.get("coverage_seconds").wrong("too many seconds") }
    }
}

/// How units are checked. `first`: s of a sensor's samples that decide.
struct GuardRule {
    let first: Double
    let leastSamples: Int
    let gravity: ClosedRange<Double>
    let standardGravity: Double

    init(_ field: Field) throws {
        first = try field.get("first_seconds").number()
        leastSamples = try field.get("least_samples").size()
        gravity = try field.get("gravity_g").range()
        standardGravity = try field.get("standard_gravity").number()
    }
}

/// contract.json: what this library needs of it. Times in s.
struct Contract {
    let simulated: Bool
    let stride: Int
    let grace: Double
    let longest: Double
    let channels: [Channel]
    let sensors: [Sensor: SensorEntry]
    let unknown: UnknownRule
    let inputGuard: GuardRule
    let operatingPoints: [String: [Float]]
    let counting: MotionCounting?
    let precisions: [String: Precision]

    /// - Throws: `StagerError` of code `unsupportedContract`, with the path of the field.
    init(_ field: Field) throws {
        let stride = try field.get("seconds").get("stride").size()
        let channels: [Channel] = try field.get("channels").list().map { try Channel($0, stride: stride) }
        guard Set(channels.map { $0.name }).count == channels.count else {
            throw try field.get("channels").wrong("two of the same name")
        }
        let longest = try field.get("longest_seconds").number()
        guard longest > 0 && longest <= 1e9 else {
            throw try field.get("longest_seconds").wrong("expected the seconds of a night")
        }
        let sensorFields = try field.get("sensors")
        var sensors: [Sensor: SensorEntry] = [:]
        for sensor in Sensor.allCases {
            let entry = try sensorFields.get(sensor.rawValue)
            sensors[sensor] = try SensorEntry(entry, sensor: sensor, all: channels)
        }
        var operatingPoints: [String: [Float]] = [:]
        if let points = try field.find("operating_points") {
            for (name, point) in try points.entries() {
                operatingPoints[name] = try Contract.weights(point.get("weights"))
            }
        }
        var counting: MotionCounting?
        if let preprocessing = try field.find("preprocessing"), let activity = try preprocessing.find("activity") {
            counting = try MotionCounting(activity, stride: stride, channels: channels)
        }
        var precisions: [String: Precision] = [:]
        for (name, precision) in try field.get("precisions").entries() {
            precisions[name] = try Precision(precision, channels: channels)
        }
        simulated = try field.get("training_data").get("simulated").boolean()
        self.stride = stride
        grace = try field.get("grace_seconds").number()
        self.longest = longest
        self.channels = channels
        self.sensors = sensors
        unknown = try UnknownRule(field.get("unknown"))
        inputGuard = try GuardRule(field.get("input_guard"))
        self.operatingPoints = operatingPoints
        self.counting = counting
        self.precisions = precisions
    }

    /// The contract of a bundle.
    ///
    /// - Parameter expected: its SHA-256 in hex, or nil for any.
    /// - Throws: `StagerError` of code `missingFile`, `alteredContract` or `unsupportedContract`.
    static func read(folder: URL, expected: String?) throws -> Contract {
        let content = try readFile(contractFile, in: folder)
        let digest = sha256(content)
        if let expected = expected, expected.lowercased() != digest {
            throw StagerError(.alteredContract, "\(contractFile): SHA-256 is \(digest), expected \(expected)")
        }
        guard let document = try? JSONDecoder().decode(JSONValue.self, from: content) else {
            throw StagerError(.unsupportedContract, "\(contractFile): not JSON")
        }
        let field = Field(path: "", value: document)
        let found = try field.get("format")
        guard try found.text() == format else {
            throw found.wrong("expected '\(format)', got \(found.value.description)")
        }
        try checkStages(field.get("stages"))
        return try Contract(field)
    }

    private static func checkStages(_ field: Field) throws {
        var found: [String] = []
        for stage in try field.list() {
            let name = try stage.get("name").text()
            let healthKit = try stage.get("healthkit").size()
            let healthConnect = try stage.get("health_connect").size()
            found.append("\(name) (\(healthKit), \(healthConnect))")
        }
        var expected: [String] = []
        for stage in Stage.scored {
            let healthKit = stage.value(in: .healthKit) ?? 0
            let healthConnect = stage.value(in: .healthConnect) ?? 0
            expected.append("\(stage.rawValue) (\(healthKit), \(healthConnect))")
        }
        guard found == expected else {
            throw field.wrong("expected \(expected.joined(separator: ", ")), in this order")
        }
    }

    private static func weights(_ field: Field) throws -> [Float] {
        let weights = try field.list().map { Float(try $0.number()) }
        guard weights.count == Stage.scored.count else { throw field.wrong("expected \(Stage.scored.count) numbers") }
        return weights
    }
}

/// The bytes of a file of a bundle.
///
/// - Throws: `StagerError` of code `missingFile`.
func readFile(_ name: String, in folder: URL) throws -> Data {
    do {
        return try Data(contentsOf: folder.appendingPathComponent(name))
    } catch {
        throw StagerError(
            .missingFile, "\(name): expected in \(folder.path), but cannot be read: \(error.localizedDescription)")
    }
}
