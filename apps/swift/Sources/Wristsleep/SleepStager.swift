import Foundation

/// Takes the samples of one night and returns its stages.
///
/// Times are in seconds of any one clock: Unix time, or since the start of the recording. Silent or absent
/// sensors, and late or out-of-range samples, give missing values; the night continues.
///
/// May be used from several threads: every call holds a lock, and waits for a running one. `take` runs the model, so
/// keep it off the main thread. It is not an actor because samples have to be fed in the order of their arrival, and
/// calls of an actor from several tasks have no order. `@unchecked Sendable` relies on the lock: it is held wherever
/// `night`, the only mutable state, or the runtime's models, which are not shared, are used.
///
///     let stager = try SleepStager(folder: folder, runtime: LiteRTRuntime(), start: 1_767_999_600)
///     try stager.feed(.heartRate, 1_767_999_603.2, 61)
///     for epoch in try stager.take(now: 1_767_999_630.1) { print(epoch.time, epoch.stage.rawValue) }
public final class SleepStager: @unchecked Sendable {
    /// The state of a night.
    private struct Night: Codable {
        var aligner: Aligner
        var tracker: CoverageTracker
        var recent: [String: [Float]]  // by channel, values of the newest window
        var networkStates: [String: [Float]]
        var activityStates: [String: [Float]]
    }

    private struct Saved: Codable {
        let model: [String]
        let weights: [Float]?  // none: []; nil in earlier states, which do not have them
        let night: Night
    }

    private static let digestLength = 64  // of a SHA-256 in hex

    private let lock = NSLock()
    private let contract: Contract
    private let precision: Precision
    private let weights: [Float]?
    private let runner: ModelRunner
    private let model: [String]  // digests of the model's files, to recognise saved states of other models
    private var night: Night

    /// Opens a bundle.
    ///
    /// - Parameters:
    ///   - folder: with contract.json and the .tflite files that it names.
    ///   - runtime: what runs them; it is loaded here and kept.
    ///   - precision: one of the bundle's.
    ///   - start: start of the first window, s.
    ///   - operatingPoint: one of the bundle's, to weight the probabilities; nil for none.
    ///   - contractSha256: SHA-256 of contract.json in hex: any other model is refused. nil takes any.
    ///   - warn: called once if the model was trained on simulated nights; nil logs it.
    /// - Throws: `StagerError` if the bundle is incomplete or not supported.
    public init(
        folder: URL, runtime: any StagerRuntime, precision: String = "int8", start: Double = 0,
        operatingPoint: String? = nil, contractSha256: String? = nil, warn: ((String) -> Void)? = nil
    ) throws {
        let contract = try Contract.read(folder: folder, expected: contractSha256)
        let chosen = try oneOf(.unknownPrecision, "precision", precision, contract.precisions)
        var weights: [Float]?
        if let name = operatingPoint {
            weights = try oneOf(.unknownOperatingPoint, "operating point", name, contract.operatingPoints)
        }
        var calls: [Call] = contract.counting?.plan.calls ?? []
        calls.append(contentsOf: chosen.plan.calls)
        let begin = try SleepStager.checked("start", start)
        self.contract = contract
        self.precision = chosen
        self.weights = weights
        self.runner = try ModelRunner(calls: calls, folder: folder, runtime: runtime)
        self.model = calls.map { $0.sha256 }
        self.night = SleepStager.newNight(begin, contract, chosen)
        if contract.simulated {
            let message = "trained on simulated nights: its stages say nothing about people"
            if let warn = warn {
                warn(message)
            } else {
                logWarning(message)
            }
        }
    }

    /// Whether the model was trained on simulated nights: its stages say nothing about people then.
    public var simulated: Bool { contract.simulated }

    /// s from stage to stage.
    public var strideSeconds: Int { contract.stride }

    /// Number of samples dropped, by sensor and reason.
    public var dropped: [Sensor: [DropReason: Int]] {
        lock.lock()
        defer { lock.unlock() }
        return night.aligner.dropped
    }

    /// Descriptions of what seems wrong with the sensors' units.
    public var findings: [String] {
        lock.lock()
        defer { lock.unlock() }
        return night.aligner.findings
    }

    /// Begin a night at `start` (s), and forget the one before.
    ///
    /// - Throws: `StagerError` of code `notATime`.
    public func reset(start: Double) throws {
        let begin = try SleepStager.checked("start", start)
        lock.lock()
        defer { lock.unlock() }
        night = SleepStager.newNight(begin, contract, precision)
    }

    /// Take one sample: x, y, z of motion, else a number. `t`: s. A sample closes the windows that end before it;
    /// later samples for a closed window are dropped.
    ///
    /// - Throws: `StagerError` of code `wrongValueCount` or `timeBeyondNight`; the sample is not taken then.
    public func feed(_ sensor: Sensor, _ t: Double, _ values: Double...) throws {
        try feed(Sample(sensor, t, values))
    }

    /// Take one sample.
    ///
    /// - Throws: as `feed` of a sensor.
    public func feed(_ sample: Sample) throws {
        let expected = sample.sensor.valueCount
        guard sample.values.count == expected else {
            let found = "\(sample.values.count) values, expected \(expected)"
            throw StagerError(.wrongValueCount, "\(sample.sensor.rawValue): \(found)")
        }
        lock.lock()
        defer { lock.unlock() }
        try night.aligner.feed(sample, contract)
    }

    /// Epochs of the closed windows.
    ///
    /// - Parameter now: s, a time up to which all sensors have delivered; nil for the windows that samples have closed.
    /// - Throws: `StagerError` of code `notATime` or `timeBeyondNight`, and what the runtime throws; no window is lost
    ///   then.
    public func take(now: Double? = nil) throws -> [Epoch] {
        if let now = now {
            _ = try SleepStager.checked("now", now)
        }
        lock.lock()
        defer { lock.unlock() }
        if let now = now {
            try night.aligner.advance(now, contract)
        }
        var next = night  // the night is unchanged if the runtime fails
        let strides = next.aligner.pending
        next.aligner.pending = []
        var epochs: [Epoch] = []
        for stride in strides {
            epochs.append(try epoch(stride, &next))
        }
        night = next
        return epochs
    }

    private func epoch(_ stride: Stride, _ next: inout Night) throws -> Epoch {
        var newest = stride.newest
        if let motion = stride.motion, let counting = contract.counting {
            newest["activity"] = try counts(motion, counting, &next.activityStates)
        }
        for channel in contract.channels {
            let older: [Float] = next.recent[channel.name] ?? []
            let values: [Float] = newest[channel.name] ?? []
            next.recent[channel.name] = Array(older.dropFirst(values.count)) + values
        }
        let probabilities = weighed(try predicted(next.recent, &next.networkStates))
        var best = 0
        for i in 1..<probabilities.count {
            if probabilities[i] > probabilities[best] { best = i }
        }
        let coverage = next.tracker.update(next.recent, contract)
        let unknown = next.tracker.isUnknown(contract.unknown)
        return Epoch(
            time: stride.time,
            seconds: contract.stride,
            stage: unknown ? .unknown : Stage.scored[best],
            probabilities: probabilities,
            coverage: coverage)
    }

    /// Activity counts of a stride of motion, x, y, z of each point, in one call or several.
    private func counts(
        _ motion: [Float], _ counting: MotionCounting, _ states: inout [String: [Float]]
    ) throws -> [Float] {
        let size = 3 * counting.hz * counting.callSeconds
        var counts: [Float] = []
        for part in 0..<(motion.count / size) {
            let piece = Array(motion[(part * size)..<((part + 1) * size)])
            let given = try runner.run(counting.plan, states: &states, sources: ["sensor:motion": piece])
            counts.append(contentsOf: given["channel:activity"] ?? [])
        }
        return counts
    }

    private func predicted(_ window: [String: [Float]], _ states: inout [String: [Float]]) throws -> [Float] {
        var sources: [String: [Float]] = [:]
        for channel in contract.channels {
            sources["channel:\(channel.name)"] = window[channel.name] ?? []
        }
        let given = try runner.run(precision.plan, states: &states, sources: sources)
        guard let probabilities = given[precision.output], probabilities.count == Stage.scored.count else {
            throw StagerError(.unsupportedContract, "\(precision.output): not given by the network")
        }
        return probabilities
    }

    private func weighed(_ probabilities: [Float]) -> [Float] {
        guard let weights = weights else { return probabilities }
        var weighed: [Float] = []
        var sum: Float = 0
        for (probability, weight) in zip(probabilities, weights) {
            weighed.append(probability * weight)
            sum += probability * weight
        }
        return weighed.map { $0 / sum }
    }

    /// Run the model on one window, to replay a golden night: values by channel; other channels are
    /// ignored. Returns the model's probabilities, without an operating point.
    ///
    /// - Throws: `StagerError` of code `wrongValueCount`, and what the runtime throws.
    public func step(_ window: [String: [Float]]) throws -> [Float] {
        for channel in contract.channels {
            let found = window[channel.name]?.count ?? 0
            guard found == channel.values else {
                throw StagerError(.wrongValueCount, "\(channel.name): \(found) values, expected \(channel.values)")
            }
        }
        lock.lock()
        defer { lock.unlock() }
        return try predicted(window, &night.networkStates)
    }

    /// The whole state, for `restore`. Save after `take`: epochs that it returned are not in it.
    public func save() throws -> Data {
        lock.lock()
        defer { lock.unlock() }
        let encoder = PropertyListEncoder()
        encoder.outputFormat = .binary
        let content = try encoder.encode(Saved(model: model, weights: weights ?? [], night: night))
        return Data(sha256(content).utf8) + content
    }

    /// Resume from saved bytes, as if the stager had never stopped.
    ///
    /// - Throws: `StagerError` of code `wrongState`, and changes nothing, if another model saved them, or one at
    ///   another operating point, or if they are damaged.
    public func restore(_ saved: Data) throws {
        let digest = Data(saved.prefix(SleepStager.digestLength))
        let content = Data(saved.dropFirst(SleepStager.digestLength))
        guard digest == Data(sha256(content).utf8),
            let found = try? PropertyListDecoder().decode(Saved.self, from: content)
        else {
            throw StagerError(.wrongState, "not a state that this model saved: it is damaged")
        }
        guard found.model == model && fits(found.night) else {
            throw StagerError(.wrongState, "not a state that this model saved: it is of another model")
        }
        guard found.weights ?? weights ?? [] == weights ?? [] else {
            throw StagerError(.wrongState, "not a state that this model saved: it is of another operating point")
        }
        lock.lock()
        defer { lock.unlock() }
        night = found.night
    }

    private func fits(_ found: Night) -> Bool {
        let new = SleepStager.newNight(0, contract, precision)
        return found.recent.mapValues { $0.count } == new.recent.mapValues { $0.count }
            && found.networkStates.mapValues { $0.count } == new.networkStates.mapValues { $0.count }
            && found.activityStates.mapValues { $0.count } == new.activityStates.mapValues { $0.count }
            && found.aligner.fits(contract)
    }

    private static func newNight(_ start: Double, _ contract: Contract, _ precision: Precision) -> Night {
        var recent: [String: [Float]] = [:]
        for channel in contract.channels {
            recent[channel.name] = [Float](repeating: channel.missing, count: channel.values)
        }
        return Night(
            aligner: Aligner(start: start, contract),
            tracker: CoverageTracker(),
            recent: recent,
            networkStates: precision.plan.states,
            activityStates: contract.counting?.plan.states ?? [:])
    }

    private static func checked(_ what: String, _ t: Double) throws -> Double {
        guard t.isFinite else { throw StagerError(.notATime, "\(what)=\(t): expected a time in seconds") }
        return t
    }
}
