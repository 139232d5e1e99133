import Foundation

/// A run of one value, in ms of Unix time.
private struct ValueRun {
    let start: Double
    var end: Double
    let value: Int
}

private func valueNames(_ store: HealthStore) -> [Int: String] {
    switch store {
    case .healthKit: return [2: "awake", 3: "asleepCore", 4: "asleepDeep", 5: "asleepREM"]
    case .healthConnect: return [1: "AWAKE", 4: "LIGHT", 5: "DEEP", 6: "REM"]
    }
}

extension SleepStager {
    /// Epochs as segments of a health store: runs of equal value merged, without overlaps, with gaps where the stage is
    /// unknown.
    ///
    /// - Parameter origin: Unix time of t=0, if times are since the start of the recording.
    public static func segments(
        _ epochs: [Epoch], zone: TimeZone = .current, store: HealthStore = .healthKit, origin: Double = 0
    ) -> [Segment] {
        var runs: [ValueRun] = []
        for epoch in epochs.sorted(by: { $0.time < $1.time }) {
            guard let value = epoch.stage.value(in: store) else { continue }
            var start = milliseconds(origin + epoch.time)
            let end = milliseconds(origin + (epoch.time + Double(epoch.seconds)))
            if let last = runs.last {
                start = max(start, last.end)
            }
            if start >= end { continue }  // covered by earlier epochs
            if let last = runs.last, last.end == start && last.value == value {
                runs[runs.count - 1].end = end
            } else {
                runs.append(ValueRun(start: start, end: end, value: value))
            }
        }
        let names = valueNames(store)
        return runs.map { run -> Segment in
            let start = Date(timeIntervalSince1970: run.start / 1000)
            let end = Date(timeIntervalSince1970: run.end / 1000)
            return Segment(
                start: start,
                startOffset: zone.secondsFromGMT(for: start),
                end: end,
                endOffset: zone.secondsFromGMT(for: end),
                stage: names[run.value] ?? "",
                value: run.value)
        }
    }

    /// The zone of a name that comes from elsewhere: an IANA name, such as Europe/Berlin, or an offset, such as +02:00.
    ///
    /// - Throws: `StagerError` of code `unknownZone`.
    public static func zone(named name: String) throws -> TimeZone {
        if name.hasPrefix("+") || name.hasPrefix("-") {
            if let seconds = offsetSeconds(name), abs(seconds) <= 18 * 3600,
                let zone = TimeZone(secondsFromGMT: seconds)
            {
                return zone
            }
        } else if !name.isEmpty, let zone = TimeZone(identifier: name) {
            return zone
        }
        throw StagerError(.unknownZone, "zone '\(name)': expected an IANA name, such as Europe/Berlin, or like +02:00")
    }
}

private func milliseconds(_ t: Double) -> Double {
    (t * 1000 + 0.5).rounded(.down)
}

/// Seconds of an offset such as +02:00 or -0930; nil for what is written otherwise.
private func offsetSeconds(_ name: String) -> Int? {
    guard let sign = name.first, sign == "+" || sign == "-" else { return nil }
    var digits = String(name.dropFirst())
    if digits.count == 5 {
        let colon = digits.index(digits.startIndex, offsetBy: 2)
        guard digits[colon] == ":" else { return nil }
        digits.remove(at: colon)
    }
    let plain = digits.allSatisfy { "0123456789".contains($0) }
    guard digits.count == 4, plain, let hours = Int(digits.prefix(2)), let minutes = Int(digits.suffix(2)) else {
        return nil
    }
    guard minutes < 60 else { return nil }
    let seconds = hours * 3600 + minutes * 60
    return sign == "-" ? -seconds : seconds
}
