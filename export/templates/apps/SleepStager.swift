/*
 Sleep stages from a wrist's heart rate and movement, live, on iOS.

     let folder = Bundle.main.url(forResource: "bundle", withExtension: nil)!
     let stager = try SleepStager(folder: folder, precision: "int8", start: 1767999600)
     try stager.feed("heart_rate", 1767999603.2, 61)
     for epoch in try stager.take(1767999630.1) { print(epoch.time, epoch.stage) }

 Written for one bundle: the constants are those of its contract.json. README.md of the bundle has the rest.
 Needs LiteRT (pod 'TensorFlowLiteSwift', 2.14 or later) and iOS 13.
 */
import CryptoKit
import Foundation
import TensorFlowLite

extension Contract {
    struct Stage {
        let name: String, healthKit: Int, healthConnect: Int
    }

    /// A channel has `values` per window, each over `seconds`: the sum or the mean of what was sensed, or `missing`.
    struct Channel {
        let name: String, unit: String, values: Int, seconds: Int, missing: Float, isSum: Bool
        /// How many values are new in a window.
        var newest: Int { Contract.stride / seconds }
    }

    /// Samples outside `low`...`high` count as not sensed.
    struct Sensor {
        let low: Double, high: Double, channels: [String]
    }

    /// `link`: where an input comes from, or what an output becomes; "" for nothing.
    struct Tensor {
        let name: String, link: String, shape: [Int]
        var size: Int { shape.reduce(1, *) }
    }

    struct Call {
        let file: String, sha256: String, signature: String, inputs: [Tensor], outputs: [Tensor]
    }

    /// `initial`: its values at the start of a night, one number if all are alike.
    struct State {
        let name: String, initial: [Float], shape: [Int]
        var atStart: [Float] { (0..<shape.reduce(1, *)).map { initial[$0 % initial.count] } }
    }

    struct Plan {
        let calls: [Call], states: [State], probabilities: String
    }
}

// constants of the contract: begin
enum Contract {}
// constants of the contract: end

struct SleepStagerError: LocalizedError {
    let errorDescription: String?
    init(_ text: String) { errorDescription = text }
}

/// Takes samples of one night in time order, gives its stages. To be used from one queue at a time.
///
/// Times are in seconds of any one clock: Unix time, or since the start of the recording. A sensor that is silent,
/// absent, late or out of range is a missing value, and the night goes on.
final class SleepStager {
    /// The stage of one stride. `time`: s, when it begins. `probabilities`: in the order of Contract.stages.
    struct Epoch {
        let time: Double, stage: String, probabilities: [Float]
    }

    /// A run of one value of a health store, and the zone's offset from UTC (s) at its start and end. `stage`: the name
    /// of `value` on the platform.
    struct Segment {
        let start: Date, startOffset: Int
        var end: Date, endOffset: Int
        let stage: String, value: Int
    }

    private struct Row: Codable {
        var sum = 0.0, number = 0.0
    }

    private struct Stride: Codable {
        let time: Double
        var newest: [String: [Float]]
        let motion: [Float]?
    }

    /// All that is under way.
    private struct Night: Codable {
        var start: Double
        var closed = 0  // windows closed so far
        var rows: [String: [Int: Row]]  // by channel and row, counted from the start
        var recent: [String: [Float]]  // by channel, values of the newest window
        var samples: [[Double]] = []  // motion that the activity call has still to see: t, x, y, z
        var counting = !Contract.activity.calls.isEmpty  // activity comes from motion, until counts are fed
        var pending: [Stride] = []  // strides closed and not yet taken
        var states: [String: [Float]]
    }

    private struct Saved: Codable {
        let model: [String], night: Night
    }

    private let plan: Contract.Plan
    private let weights: [Float]?
    private var runners: [String: SignatureRunner] = [:]
    private var night: Night

    /// - Parameters:
    ///   - folder: the bundle.
    ///   - precision: one of Contract.precisions.
    ///   - start: s, when the first window begins.
    ///   - operatingPoint: one of Contract.operatingPoints, to weigh the probabilities; nil leaves them as they are.
    ///   - options: of the runtime; nil is one thread.
    /// - Throws: SleepStagerError for a file that is not the one that the contract describes.
    init(
        folder: URL, precision: String = "int8", start: Double = 0, operatingPoint: String? = nil,
        options: Interpreter.Options? = nil
    ) throws {
        plan = try oneOf("precision", precision, Contract.precisions)
        weights = try operatingPoint.map { try oneOf("operating point", $0, Contract.operatingPoints) }
        night = SleepStager.night(start, plan)
        var oneThread = Interpreter.Options()
        oneThread.threadCount = 1
        for call in Contract.activity.calls + plan.calls {
            let file = folder.appendingPathComponent(call.file)
            let digest = SHA256.hash(data: try Data(contentsOf: file)).map { String(format: "%02x", $0) }.joined()
            guard digest == call.sha256 else {  // a damaged file can take the runtime down
                throw SleepStagerError("\(call.file): not the file that the contract describes")
            }
            let interpreter = try Interpreter(modelPath: file.path, options: options ?? oneThread)
            runners[call.file] = try interpreter.signatureRunner(with: call.signature)
        }
    }

    /// Before a night that begins at `start` (s).
    func reset(start: Double? = nil) {
        night = SleepStager.night(start ?? night.start, plan)
    }

    private static func night(_ start: Double, _ plan: Contract.Plan) -> Night {
        var night = Night(start: start, rows: [:], recent: [:], states: [:])
        for channel in Contract.channels {
            night.rows[channel.name] = [:]
            night.recent[channel.name] = [Float](repeating: channel.missing, count: channel.values)
        }
        for state in Contract.activity.states + plan.states { night.states[state.name] = state.atStart }
        return night
    }

    /// Take one sample: "heart_rate" (bpm), "motion" (x, y, z in g), and, with the time at which their bin ends,
    /// "steps" and "activity" (counts). `t`: s.
    ///
    /// Feed all sensors in the order of time: an event closes the windows that it lies past, and what comes for a
    /// closed window is too late.
    ///
    /// - Throws: SleepStagerError for another sensor, and for a `t` more than a night after the start.
    func feed(_ sensor: String, _ t: Double, _ value: Double...) throws {
        let known = try oneOf("sensor", sensor, Contract.sensors)
        guard t.isFinite else { return }
        try checkTime(t)
        guard value.count == (sensor == "motion" ? 3 : 1) else {
            throw SleepStagerError("\(sensor): \(value.count) values")
        }
        guard t >= night.start - Contract.longest else { return }
        if value.allSatisfy({ known.low <= $0 && $0 <= known.high }) {
            var values = value
            if sensor == "motion" {
                let timely = t >= night.start + Double(night.closed * Contract.stride)
                if night.counting && timely && t >= (night.samples.last?[0] ?? -Double.infinity) {
                    night.samples.append([t] + value)
                }
                values.append((value[0] * value[0] + value[1] * value[1] + value[2] * value[2]).squareRoot())
            } else if sensor == "activity" {
                night.counting = false
                night.samples = []
            }
            for channel in Contract.channels {
                guard let i = known.channels.firstIndex(of: channel.name) else { continue }
                add(channel, t - night.start, values[i])
            }
        }
        closeWindows(Int(((t - Contract.grace - night.start) / Double(Contract.stride)).rounded(.up)) - 1)
    }

    /// Add a value at `t` (s since the start) to its row.
    private func add(_ channel: Contract.Channel, _ t: Double, _ value: Double) {
        let seconds = Double(channel.seconds)
        let bin = ((t - Contract.grace) / seconds).rounded(.up) - 1
        let row = Int(channel.isSum ? bin : (t / seconds).rounded(.down))
        guard row >= night.closed * channel.newest else { return }  // too late
        night.rows[channel.name]![row, default: Row()].sum += value
        night.rows[channel.name]![row]!.number += 1
    }

    /// Close windows until `last` of them are closed.
    private func closeWindows(_ last: Int) {
        while night.closed < last {
            var newest: [String: [Float]] = [:]
            for channel in Contract.channels {
                newest[channel.name] = (0..<channel.newest).map { i -> Float in
                    let row = night.rows[channel.name]!.removeValue(forKey: night.closed * channel.newest + i)
                    return row.map { Float(channel.isSum ? $0.sum : $0.sum / $0.number) } ?? channel.missing
                }
            }
            let time = night.start + Double(night.closed * Contract.stride)
            let motion = night.samples.isEmpty ? nil : grid()
            night.pending.append(Stride(time: time, newest: newest, motion: motion))
            night.closed += 1
        }
    }

    /// Acceleration of the stride that closes, on the even grid that the activity call wants: x, y, z of each point.
    private func grid() -> [Float] {
        let points = Contract.hz * Contract.stride
        let samples = night.samples
        var motion = [Float](repeating: Contract.motionMissing, count: 3 * points)
        var after = 0  // the first sample at or after the point
        for i in 0...points {
            let point = night.closed * points + i
            let t = night.start + Double(point) / Double(Contract.hz)
            while after < samples.count && samples[after][0] < t { after += 1 }
            if i == points || after == 0 { continue }
            let before = samples[after - 1]
            let next = after < samples.count ? samples[after] : nil
            let bin = point / (Contract.hz * Contract.bin)
            let due = night.start + Contract.motionGrace + Double(Contract.bin * (bin + 1))
            if min(next?[0] ?? due, due) - before[0] > Contract.motionGap { continue }
            for k in 1...3 {
                if let next = next, next[0] <= due {
                    let along = (t - before[0]) / (next[0] - before[0])
                    motion[3 * i + k - 1] = Float(before[k] + (next[k] - before[k]) * along)
                } else {
                    motion[3 * i + k - 1] = Float(before[k])
                }
            }
        }
        night.samples.removeFirst(max(after - 1, 0))  // the next stride needs the last before it, and those after
        return motion
    }

    /// Epochs of the windows that are full. `now`: s, a time up to which every sensor has told what it has; nil for the
    /// windows that events have closed.
    func take(_ now: Double? = nil) throws -> [Epoch] {
        if let now = now {
            try checkTime(now)
            let last = ((now - night.start) / Double(Contract.stride)).rounded(.down)
            if last >= 1 { closeWindows(Int(last)) }
        }
        var epochs: [Epoch] = []
        while !night.pending.isEmpty {
            var stride = night.pending.removeFirst()
            if let motion = stride.motion {
                stride.newest["activity"] = try run(Contract.activity, ["sensor:motion": motion])["channel:activity"]
            }
            for channel in Contract.channels {
                let older = night.recent[channel.name]!.dropFirst(channel.newest)
                night.recent[channel.name] = Array(older) + stride.newest[channel.name]!
            }
            let probabilities = weighed(try step(night.recent))
            let best = probabilities.firstIndex(of: probabilities.max()!)!
            epochs.append(Epoch(time: stride.time, stage: Contract.stages[best].name, probabilities: probabilities))
        }
        return epochs
    }

    /// One window by hand, values by channel as in golden.json. Gives the probabilities as the model says them.
    func step(_ window: [String: [Float]]) throws -> [Float] {
        let known = Dictionary(uniqueKeysWithValues: window.map { ("channel:\($0.key)", $0.value) })
        return try run(plan, known)["output:\(plan.probabilities)"]!
    }

    /// Make the calls of a plan in order, keep their states. Gives `known` with the tensors that the calls made.
    private func run(_ plan: Contract.Plan, _ known: [String: [Float]]) throws -> [String: [Float]] {
        var tensors = known
        var made: [String: [Float]] = [:]
        for (name, values) in night.states { tensors["state:\(name)"] = values }
        for call in plan.calls {
            let runner = runners[call.file]!
            var inputs: [String: Data] = [:]
            for tensor in call.inputs {
                guard let values = tensors[tensor.link], values.count == tensor.size else {
                    throw SleepStagerError("\(tensor.link): not \(tensor.size) values")
                }
                inputs[tensor.name] = values.withUnsafeBufferPointer { Data(buffer: $0) }
            }
            try runner.invoke(with: inputs)
            for tensor in call.outputs {
                var values = [Float](repeating: 0, count: tensor.size)
                let data = try runner.output(named: tensor.name).data
                _ = values.withUnsafeMutableBytes { data.copyBytes(to: $0) }
                tensors["output:\(tensor.name)"] = values
                if tensor.link != "" { made[tensor.link] = values }
            }
        }
        for name in night.states.keys { night.states[name] = made["state:\(name)"] ?? night.states[name] }
        return tensors.merging(made) { $1 }
    }

    private func weighed(_ probabilities: [Float]) -> [Float] {
        guard let weights = weights else { return probabilities }
        let weighed = zip(probabilities, weights).map { $0 * $1 }
        let sum = weighed.reduce(0, +)
        return weighed.map { $0 / sum }
    }

    private func checkTime(_ t: Double) throws {
        guard t - night.start <= Contract.longest else {
            throw SleepStagerError("t=\(t) s: more than a night after start=\(night.start) s; reset for a new one")
        }
    }

    /// All that is under way, for `restore`.
    func save() throws -> Data {
        let encoder = PropertyListEncoder()
        encoder.outputFormat = .binary
        return try encoder.encode(Saved(model: model, night: night))
    }

    /// Go on as if the stager that saved this had never stopped.
    ///
    /// - Throws: SleepStagerError, and changes nothing, where another model saved it.
    func restore(_ data: Data) throws {
        let saved = try? PropertyListDecoder().decode(Saved.self, from: data)
        func sizes(_ arrays: [String: [Float]]) -> [String: Int] { arrays.mapValues { $0.count } }
        guard let found = saved, found.model == model, sizes(found.night.states) == sizes(night.states),
            sizes(found.night.recent) == sizes(night.recent), found.night.rows.keys == night.rows.keys
        else { throw SleepStagerError("not a state that this model saved") }
        night = found.night
    }

    /// What a saved state belongs to: the files, by their digests.
    private var model: [String] { (Contract.activity.calls + plan.calls).map { $0.sha256 } }

    private static let names = [  // value -> its name on the platform
        "healthkit": [2: "awake", 3: "asleepCore", 4: "asleepDeep", 5: "asleepREM"],
        "health_connect": [1: "AWAKE", 4: "LIGHT", 5: "DEEP", 6: "REM"],
    ]

    /// Epochs as segments of a health store: runs of equal value merged, none overlapping.
    ///
    /// `platform`: "healthkit" or "health_connect"; stage and value are its. `origin`: Unix time of t=0, where times
    /// count from the start of the recording.
    static func segments(
        _ epochs: [Epoch], zone: TimeZone = .current, platform: String = "healthkit", origin: Double = 0
    ) throws -> [Segment] {
        let names = try oneOf("platform", platform, SleepStager.names)
        let values = Dictionary(uniqueKeysWithValues: Contract.stages.map {
            ($0.name, platform == "healthkit" ? $0.healthKit : $0.healthConnect)
        })
        func instant(_ t: Double) -> Date {
            Date(timeIntervalSince1970: ((origin + t) * 1000 + 0.5).rounded(.down) / 1000)
        }
        var segments: [Segment] = []
        for epoch in epochs.sorted(by: { $0.time < $1.time }) {
            let last = segments.last
            let start = max(instant(epoch.time), last?.end ?? .distantPast)
            let end = instant(epoch.time + Double(Contract.stride))
            let value = values[epoch.stage]!
            if start >= end { continue }  // told before
            let endOffset = zone.secondsFromGMT(for: end)
            if last != nil && last!.end == start && last!.value == value {
                segments[segments.count - 1].end = end
                segments[segments.count - 1].endOffset = endOffset
            } else {
                segments.append(Segment(
                    start: start, startOffset: zone.secondsFromGMT(for: start), end: end, endOffset: endOffset,
                    stage: names[value]!, value: value))
            }
        }
        return segments
    }
}

private func oneOf<T>(_ what: String, _ key: String, _ known: [String: T]) throws -> T {
    guard let found = known[key] else {
        throw SleepStagerError("\(what) \(key): one of \(known.keys.sorted().joined(separator: ", ")) is wanted")
    }
    return found
}
