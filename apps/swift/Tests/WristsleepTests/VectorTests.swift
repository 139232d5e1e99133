#if os(macOS) || os(Linux)
import Foundation
import XCTest

@testable import Wristsleep

/// Every test vector of tests/vectors, whose README.md says what is in them.
final class VectorTests: XCTestCase {
    func testAllVectors() throws {
        let folder = repository.appendingPathComponent("tests/vectors")
        let files = try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        let vectors = (files ?? []).filter { $0.pathExtension == "json" }
        if vectors.isEmpty { throw XCTSkip("needs Wristsleep's repository: \(folder.path) has no vectors") }
        let runtime = try StandInRuntime()
        for file in vectors.sorted(by: { $0.lastPathComponent < $1.lastPathComponent }) {
            do {
                let vector = try JSONDecoder().decode(JSONValue.self, from: try Data(contentsOf: file))
                let folder = try bundle(of: vector)
                if let code = vector["error"]?.asText {
                    try expect(code) { _ = try VectorRun(vector, folder, runtime) }
                } else {
                    try VectorRun(vector, folder, runtime).runSteps()
                }
            } catch {
                XCTFail("\(file.lastPathComponent): \(error)")
            }
        }
    }

    /// The folder of a vector's bundle, an altered copy where the vector says so.
    private func bundle(of vector: JSONValue) throws -> URL {
        let name = vector["bundle"]?.asText ?? ""
        var folder = repository.appendingPathComponent("tests/vectors/bundles/\(name)")
        if !FileManager.default.fileExists(atPath: folder.path) {
            folder = repository.appendingPathComponent("bundles/\(name)")
        }
        guard let alter = vector["open"]?["alter"] else { return folder }
        let copy = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.copyItem(at: folder, to: copy)
        addTeardownBlock { _ = try? FileManager.default.removeItem(at: copy) }
        let file = copy.appendingPathComponent(alter["file"]?.asText ?? "")
        if alter["delete"] != nil {
            try FileManager.default.removeItem(at: file)
        } else if let place = alter["flip_byte"]?.asNumber {
            var content = try Data(contentsOf: file)
            content[Int(place)] ^= 0xFF
            try content.write(to: file)
        } else if let end = alter["end"]?.asText {
            let content = try Data(contentsOf: file)
            try (content.dropLast("\n}\n".utf8.count) + Data(end.utf8)).write(to: file)
        } else {
            var document = try JSONDecoder().decode(JSONValue.self, from: try Data(contentsOf: file))
            for (path, value) in alter["json"]?.members ?? [:] {
                document = document.with(value, at: path.split(separator: ".").map { String($0) })
            }
            if let path = alter["remove"]?.asText {
                document = document.with(nil, at: path.split(separator: ".").map { String($0) })
            }
            try Data(document.json.utf8).write(to: file)
        }
        return copy
    }
}

struct Mismatch: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

func expect(_ code: String, _ work: () throws -> Void) throws {
    do {
        try work()
    } catch let error as StagerError {
        if error.code.rawValue != code {
            throw Mismatch("expected error \(code), got \(error.code.rawValue): \(error.message)")
        }
        return
    }
    throw Mismatch("expected error \(code), got none")
}

/// One vector's stager, and what it has given so far.
final class VectorRun {
    private let vector: JSONValue
    private let folder: URL
    private let runtime: StandInRuntime
    private var stager: SleepStager
    private let warnings: Int
    private var epochs: [Epoch] = []
    private var saved = Data()

    init(_ vector: JSONValue, _ folder: URL, _ runtime: StandInRuntime) throws {
        self.vector = vector
        self.folder = folder
        self.runtime = runtime
        let opened = try VectorRun.opened(vector, folder, runtime, start: vector["start"]?.asNumber ?? 0)
        stager = opened.stager
        warnings = opened.warnings
    }

    /// A stager, and how often it warned.
    private static func opened(
        _ vector: JSONValue, _ folder: URL, _ runtime: StandInRuntime, start: Double, precision: String? = nil
    ) throws -> (stager: SleepStager, warnings: Int) {
        let opening = vector["open"]
        let named = opening?["precision"]?.asText ?? vector["precision"]?.asText ?? "int8"
        var warnings = 0
        let stager = try SleepStager(
            folder: folder,
            runtime: runtime,
            precision: precision ?? named,
            start: start,
            operatingPoint: opening?["operating_point"]?.asText ?? vector["operating_point"]?.asText,
            contractSha256: opening?["contract_sha256"]?.asText ?? vector["contract_sha256"]?.asText,
            warn: { _ in warnings += 1 })
        return (stager, warnings)
    }

    func runSteps() throws {
        try same("warnings of simulated nights", stager.simulated ? 1 : 0, warnings)
        for (i, step) in (vector["steps"]?.items ?? []).enumerated() {
            do {
                if let code = step["error"]?.asText {
                    try expect(code) { try self.act(step) }
                } else {
                    try act(step)
                }
            } catch {
                throw Mismatch("step \(i): \(error)")
            }
        }
    }

    private func act(_ step: JSONValue) throws {
        for sample in step["feed"]?.items ?? [] {
            let parts = sample.items
            var values: [Double] = parts[2].items.map { $0.asNumber ?? 0 }
            if let value = parts[2].asNumber { values = [value] }
            try stager.feed(Sample(Sensor(named: parts[0].asText ?? ""), parts[1].asNumber ?? 0, values))
        }
        if let now = step["take"] {
            let taken = try stager.take(now: now.asNumber)  // null: nil
            epochs.append(contentsOf: taken)
            if let expected = step["epochs"] { try compare(expected.items, taken) }
        }
        if let expected = step["dropped"] { try same("dropped", counts(expected), droppedCounts()) }
        if let expected = step["findings"] {
            try same("findings", expected.items.map { $0.asText ?? "" }, stager.findings)
        }
        if step["save"] != nil { saved = try stager.save() }
        if let start = step["reset"] { try stager.reset(start: start.asNumber ?? 0) }
        if let how = step["restore"] { try restore(how) }
        if let how = step["segments"] { try segments(how, step["values"]) }
    }

    private func restore(_ how: JSONValue) throws {
        if how.asText == "damaged" {
            try stager.restore(saved.prefix(saved.count / 2))
        } else if how.asText == "other_precision" {
            let other = try VectorRun.opened(vector, folder, runtime, start: 0, precision: "float32")
            try other.stager.restore(saved)
        } else if how.asText == "other_operating_point" {
            let point = vector["operating_point"]?.asText == nil ? "rem" : nil
            let other = try SleepStager(folder: folder, runtime: runtime, operatingPoint: point, warn: { _ in })
            try other.restore(saved)
        } else {
            let next = try VectorRun.opened(vector, folder, runtime, start: -77)
            try next.stager.restore(saved)
            stager = next.stager
        }
    }

    private func counts(_ dropped: JSONValue) -> [String: [String: Int]] {
        dropped.members.mapValues { reasons in reasons.members.mapValues { Int($0.asNumber ?? 0) } }
    }

    private func droppedCounts() -> [String: [String: Int]] {
        var found: [String: [String: Int]] = [:]
        for (sensor, reasons) in stager.dropped {
            for (reason, count) in reasons where count > 0 {
                found[sensor.rawValue, default: [:]][reason.rawValue] = count
            }
        }
        return found
    }

    private func compare(_ expected: [JSONValue], _ taken: [Epoch]) throws {
        try same("number of epochs", expected.count, taken.count)
        let tolerance = vector["tolerance"]?.asNumber ?? 1e-4
        for (x, epoch) in zip(expected, taken) {
            let at = "epoch at \(epoch.time)"
            try near(at, x["time"]?.asNumber, epoch.time, 1e-6)
            try same("\(at): stage", x["stage"]?.asText ?? "", epoch.stage.rawValue)
            let probabilities = x["probabilities"]?.items ?? []
            try same("\(at): probabilities", probabilities.count, epoch.probabilities.count)
            for (p, actual) in zip(probabilities, epoch.probabilities) {
                try near("\(at): probability", p.asNumber, Double(actual), tolerance)
            }
            let coverage = x["coverage"]?.members ?? [:]
            try same("\(at): sensors", Set(coverage.keys), Set(epoch.coverage.keys.map { $0.rawValue }))
            for (sensor, actual) in epoch.coverage {
                let entry = coverage[sensor.rawValue]
                try near("\(at): share of \(sensor.rawValue)", entry?["share"]?.asNumber, actual.share, 1e-9)
                try same("\(at): since \(sensor.rawValue)", entry?["seconds_since"]?.asNumber, actual.secondsSince)
            }
        }
    }

    private func segments(_ how: JSONValue, _ expected: JSONValue?) throws {
        let zone = try SleepStager.zone(named: how["zone"]?.asText ?? "")
        let store = try HealthStore(named: how["platform"]?.asText ?? "")
        let origin = how["origin"]?.asNumber ?? 0
        var found: [[String]] = []
        for run in SleepStager.segments(epochs, zone: zone, store: store, origin: origin) {
            found.append([iso(run.start, run.startOffset), iso(run.end, run.endOffset), run.stage, "\(run.value)"])
        }
        guard let expected = expected else { return }
        var wanted: [[String]] = []
        for run in expected.items {
            let value = Int(run["value"]?.asNumber ?? 0)
            let names: [String] = ["start", "end", "stage"].map { run[$0]?.asText ?? "" }
            wanted.append(names + ["\(value)"])
        }
        try same("segments", wanted, found)
    }
}

private func same<T: Equatable>(_ what: String, _ expected: T, _ actual: T) throws {
    if expected != actual { throw Mismatch("\(what): expected \(expected), got \(actual)") }
}

private func near(_ what: String, _ expected: Double?, _ actual: Double, _ tolerance: Double) throws {
    guard let expected = expected, abs(expected - actual) <= tolerance else {
        throw Mismatch("\(what): expected \(String(describing: expected)), got \(actual)")
    }
}

/// ISO 8601, with milliseconds where there are any.
private func iso(_ time: Date, _ offset: Int) -> String {
    let milliseconds = Int((time.timeIntervalSince1970 * 1000).rounded())
    let rest = ((milliseconds % 1000) + 1000) % 1000
    let local = DateFormatter()
    local.locale = Locale(identifier: "en_US_POSIX")
    local.timeZone = TimeZone(secondsFromGMT: 0)
    local.dateFormat = "yyyy-MM-dd'T'HH:mm:ss"
    let shifted = Date(timeIntervalSince1970: Double((milliseconds - rest) / 1000 + offset))
    let fraction = rest == 0 ? "" : String(format: ".%03d", rest)
    let minutes = abs(offset) / 60
    let sign = offset < 0 ? "-" : "+"
    return local.string(from: shifted) + fraction + sign + String(format: "%02d:%02d", minutes / 60, minutes % 60)
}
#endif
