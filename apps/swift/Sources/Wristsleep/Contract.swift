import Foundation

private let format = "wristsleep-contract/1"
private let weightsRounding = 3e-4  // tolerance of the sum of an operating point's weights, which is 1
let graceSeconds = 0.1  // how early the end of a bin is taken
let binSeconds = 15  // of an activity count

/// A channel has `values` per window, each over `seconds`: the sum or the mean of the samples, or `missing`.
struct Channel {
    let name: String
    let values: Int
    let seconds: Int
    let missing: Float
    let isSum: Bool
    /// Number of values that are new in a window.
    let newest: Int

    init(_ field: Field, row: Int, window: Int, stride: Int) throws {
        let name = try field.get("name").text()
        guard let sensor = Sensor.allCases.first(where: { $0.channels.contains(name) }) else {
            throw try field.get("name").wrong("'\(name)': no such channel")
        }
        let expected = name == "activity" ? max(binSeconds, row) : row
        let seconds = Int(try field.get("seconds_per_value").constant(Double(expected)))
        let values = Int(try field.get("values_per_window").constant(Double(window) / Double(seconds)))
        let newest = stride / seconds
        guard stride % seconds == 0 && window % seconds == 0 && newest >= 1 && values >= newest else {
            throw field.wrong("its values do not fit a stride of \(stride) s")
        }
        self.name = name
        self.values = values
        self.seconds = seconds
        self.missing = Float(try field.get("missing").constant(sensor.missing))
        self.isSum = try isSumField(field, sensor)
        self.newest = newest
    }
}

/// A channel that a sensor fills, and its place among the sensor's values.
struct FilledChannel {
    let channel: Channel
    let place: Int
}

/// Samples outside `range` are dropped. `isSum`: they are bins, fed at their end.
struct SensorEntry {
    let range: ClosedRange<Double>
    let isSum: Bool
    /// The model's channels that it fills.
    let channels: [FilledChannel]

    init(_ field: Field, sensor: Sensor, all: [Channel]) throws {
        range = try field.get("range").constant(sensor.limits)
        isSum = try isSumField(field, sensor)
        var names: [String] = []
        for name in try field.get("channels").list() {
            names.append(try name.text())
        }
        guard names == sensor.channels else {
            throw try field.get("channels").wrong("\(names), expected \(sensor.channels)")
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

private func isSumField(_ field: Field, _ sensor: Sensor) throws -> Bool {
    let value = try field.get("value")
    let text = try value.text()
    let expected = sensor.isSum ? "sum" : "mean"
    guard text == expected else { throw value.wrong("'\(text)': expected \(expected)") }
    return sensor.isSum
}

/// When the stage is unknown, and how far coverage looks back. Times in s.
struct UnknownRule {
    let absent: Double
    let offWrist: Double
    let offWristBlind: Double
    let coverage: Double

    init(_ field: Field) throws {
        absent = try field.get("absent_seconds").constant(300)
        offWrist = try field.get("off_wrist_seconds").constant(1800)
        offWristBlind = try field.get("off_wrist_blind_seconds").constant(7200)
        coverage = try field.get("coverage_seconds").constant(600)
    }
}

/// How units are checked. `first`: s of a sensor's samples on which the check is decided.
struct GuardRule {
    let first: Double
    let leastSamples: Int
    let gravity: ClosedRange<Double>
    let standardGravity: Double

    init(_ field: Field) throws {
        first = try field.get("first_seconds").constant(60)
        leastSamples = Int(try field.get("least_samples").constant(25))
        gravity = try field.get("gravity_g").constant(0.5...2)
        standardGravity = try field.get("standard_gravity").constant(9.80665)
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
        let seconds = try field.get("seconds")
        let row = try seconds.get("row").size()
        let window = try seconds.get("window").size()
        let stride = try seconds.get("stride").size()
        let channels: [Channel] = try field.get("channels").list().map {
            try Channel($0, row: row, window: window, stride: stride)
        }
        guard Set(channels.map { $0.name }).count == channels.count else {
            throw try field.get("channels").wrong("two of the same name")
        }
        let longest = try field.get("longest_seconds").constant(93_600)
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
        for (name, plan) in try field.get("preprocessing").entries() {
            guard name == "activity" else { throw plan.wrong("expected activity only") }
            counting = try MotionCounting(plan, stride: stride, channels: channels)
        }
        var precisions: [String: Precision] = [:]
        for (name, precision) in try field.get("precisions").entries() {
            precisions[name] = try Precision(precision, channels: channels)
        }
        simulated = try field.get("training_data").get("simulated").boolean()
        self.stride = stride
        grace = try field.get("grace_seconds").constant(graceSeconds)
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
        if isAltered(content) {
            throw StagerError(.alteredContract, "\(contractFile): altered; its SHA-256 is not the one at its end")
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

    /// Whether contract.json differs from its digest, the SHA-256 of the text with 64 zeros in its place. It is the
    /// last entry and the only one of this name; earlier contracts have no such name, nor text as their last value.
    private static func isAltered(_ content: Data) -> Bool {
        let text = String(decoding: content, as: UTF8.self)
        let name = "\"digest\"\\s*:"
        let end = "\"\\s*\\}\\s*$"
        let named = text.range(of: name, options: [.regularExpression, .caseInsensitive])
        guard let entry = text.range(of: name + "\\s*\"[0-9a-f]{64}" + end, options: .regularExpression),
            named?.lowerBound == entry.lowerBound,  // the first of this name
            let quote = text[entry].lastIndex(of: "\"")
        else { return named != nil || text.range(of: end, options: .regularExpression) != nil }
        let first = text.index(quote, offsetBy: -64)
        let zeroed = String(text[..<first]) + String(repeating: "0", count: 64) + String(text[quote...])
        return sha256(Data(zeroed.utf8)) != String(text[first..<quote])
    }

    private static func weights(_ field: Field) throws -> [Float] {
        let weights = try field.list().map { try $0.number() }
        let sum = weights.reduce(0, +)
        guard weights.count == Stage.scored.count && weights.allSatisfy({ $0 > 0 }) && abs(sum - 1) <= weightsRounding
        else {
            throw field.wrong("expected \(Stage.scored.count) numbers above 0 that sum to 1")
        }
        return weights.map { Float($0) }
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
