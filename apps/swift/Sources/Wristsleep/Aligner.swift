/// A closed stride: its newest values by channel, and motion whose activity is not counted yet.
struct Stride: Codable {
    let time: Double
    var newest: [String: [Float]]
    let motion: [Float]?
}

/// Samples of a night, laid into strides. Dictionaries are by the names of sensors and channels.
struct Aligner: Codable {
    private struct Row: Codable {
        var sum: Double = 0
        var number: Double = 0
    }

    let start: Double  // s
    /// Closed strides that were not taken yet.
    var pending: [Stride] = []
    private var closed: Int = 0  // number of strides closed so far
    private var rows: [String: [Int: Row]] = [:]  // by channel and row, counted from the start
    private var taken: [String: Set<Double>] = [:]  // by sensor, times of samples in windows that are open
    private var drops: [String: [String: Int]] = [:]  // by sensor and reason
    private var guards: [String: InputGuard] = [:]
    private var grid: MotionGrid?  // nil where the model counts no activity, or once activity counts are fed

    init(start: Double, _ contract: Contract) {
        self.start = start
        for sensor in InputGuard.guarded {
            guards[sensor.rawValue] = InputGuard(sensor)
        }
        if contract.counting != nil {
            grid = MotionGrid()
        }
    }

    var dropped: [Sensor: [DropReason: Int]] {
        var found: [Sensor: [DropReason: Int]] = [:]
        for sensor in Sensor.allCases {
            var counts: [DropReason: Int] = [:]
            for reason in DropReason.allCases {
                counts[reason] = drops[sensor.rawValue]?[reason.rawValue] ?? 0
            }
            found[sensor] = counts
        }
        return found
    }

    var findings: [String] {
        var found: [String] = []
        for sensor in InputGuard.guarded {
            let finding = guards[sensor.rawValue]?.finding ?? ""
            if !finding.isEmpty {
                found.append(finding)
            }
        }
        return found
    }

    /// Whether it can go on with a model: what is saved might be of a bundle with the same files and other rules.
    func fits(_ contract: Contract) -> Bool {
        if grid != nil && contract.counting == nil { return false }
        for stride in pending {
            if stride.motion != nil && contract.counting == nil { return false }
            for channel in contract.channels where stride.newest[channel.name]?.count != channel.newest {
                return false
            }
        }
        return true
    }

    /// Take a sample; it closes the windows that end before it.
    mutating func feed(_ sample: Sample, _ contract: Contract) throws {
        let t = sample.t
        if t.isFinite {
            try checkTime(t, contract)
        }
        if let reason = accept(sample, contract) {
            drops[sample.sensor.rawValue, default: [:]][reason.rawValue, default: 0] += 1
        }
        if t.isFinite {
            close(slot(t - start, contract.stride, isSum: true, contract), contract)
        }
    }

    /// Close the windows that end by `now`.
    mutating func advance(_ now: Double, _ contract: Contract) throws {
        try checkTime(now, contract)
        close(((now - start) / Double(contract.stride)).rounded(.down), contract)
    }

    private func checkTime(_ t: Double, _ contract: Contract) throws {
        guard t - start <= contract.longest else {
            throw StagerError(
                .timeBeyondNight,
                "t=\(t) s: more than a night after start=\(start) s; are these milliseconds? "
                    + "reset(start:) begins a new night")
        }
    }

    /// Take a sample, or return the reason why it is dropped.
    private mutating func accept(_ sample: Sample, _ contract: Contract) -> DropReason? {
        let t = sample.t
        guard t.isFinite && sample.values.allSatisfy({ $0.isFinite }) else { return .notANumber }
        let sensor = sample.sensor
        let name = sensor.rawValue
        guard let entry = contract.sensors[sensor] else { return nil }
        let counted = sensor == .motion && grid != nil
        if entry.channels.isEmpty && !counted { return nil }  // the model does not use the sensor
        let inRange = sample.values.allSatisfy { entry.range.contains($0) }
        if guards[name]?.accept(t, sample.values, inRange: inRange, contract) == false { return .wrongUnit }
        if !inRange { return .outOfRange }
        let sinceStart = t - start
        if slot(sinceStart, contract.stride, isSum: entry.isSum, contract) < Double(closed) { return .late }
        if !taken[name, default: []].insert(t).inserted { return .repeated }
        var values = sample.values
        if sensor == .activity {
            grid = nil
        } else if sensor == .motion {
            grid?.add(sinceStart, sample.values)
            values.append(magnitude(sample.values))
        }
        for filled in entry.channels {
            let channel = filled.channel
            let row = Int(slot(sinceStart, channel.seconds, isSum: channel.isSum, contract))
            rows[channel.name, default: [:]][row, default: Row()].sum += values[filled.place]
            rows[channel.name, default: [:]][row, default: Row()].number += 1
        }
        return nil
    }

    /// Close strides until `last` are closed.
    private mutating func close(_ last: Double, _ contract: Contract) {
        guard last > Double(closed) else { return }
        let begin = last * Double(contract.stride)
        for (name, times) in taken {
            taken[name] = times.filter { $0 - start >= begin }
        }
        while Double(closed) < last {
            var newest: [String: [Float]] = [:]
            for channel in contract.channels {
                var values: [Float] = []
                for i in 0..<channel.newest {
                    if let row = rows[channel.name]?.removeValue(forKey: closed * channel.newest + i) {
                        values.append(Float(channel.isSum ? row.sum : row.sum / row.number))
                    } else {
                        values.append(channel.missing)
                    }
                }
                newest[channel.name] = values
            }
            var motion: [Float]?
            if let counting = contract.counting, grid?.isEmpty == false {
                motion = grid?.close(closed, counting, stride: contract.stride)
            }
            let time = start + Double(closed * contract.stride)
            pending.append(Stride(time: time, newest: newest, motion: motion))
            closed += 1
        }
    }

    /// Which stretch of `seconds`, from the start, `t` (s since the start) lies in: a sample in [k, k + 1), a bin
    /// (`isSum`) in (k, k + 1] with its end taken early. Corrected for rounding of the division.
    private func slot(_ t: Double, _ seconds: Int, isSum: Bool, _ contract: Contract) -> Double {
        let length = Double(seconds)
        let time = isSum ? t - contract.grace : t
        var slot = isSum ? (time / length).rounded(.up) - 1 : (time / length).rounded(.down)
        let begin = slot * length
        if begin > time || (isSum && begin == time) {
            slot -= 1
        }
        let end = (slot + 1) * length
        if end < time || (!isSum && end == time) {
            slot += 1
        }
        return slot
    }
}
