import Foundation

/// Checks, on a sensor's first minute of samples, that they are in the expected unit.
struct InputGuard: Codable {
    /// The sensors that have a guard, in the order of their findings.
    static let guarded: [Sensor] = [.heartRate, .motion]

    /// What is wrong, as a sentence; "" for nothing.
    private(set) var finding: String = ""
    private let sensor: Sensor
    private var first: Double?  // s, time of the first sample
    private var seen: Int = 0  // samples
    private var outside: Int = 0  // of them, out of range
    private var magnitudes: [Double] = []  // g, of motion in range
    private var decided: Bool = false
    private var refused: Bool = false

    init(_ sensor: Sensor) {
        self.sensor = sensor
    }

    /// Whether a sample is accepted.
    mutating func accept(_ t: Double, _ values: [Double], inRange: Bool, _ contract: Contract) -> Bool {
        if decided { return !refused }
        let rule = contract.inputGuard
        let begin = min(first ?? t, t)
        first = begin
        let enough = sensor != .motion || max(outside, seen - outside) >= rule.leastSamples
        if t >= begin + rule.first && enough {
            decide(rule, contract.sensors[sensor]?.range)
            return !refused
        }
        seen += 1
        if !inRange {
            outside += 1
        } else if sensor == .motion {
            magnitudes.append(magnitude(values))
        }
        return true
    }

    private mutating func decide(_ rule: GuardRule, _ range: ClosedRange<Double>?) {
        decided = true
        if 2 * outside > seen, let range = range {
            let limits = "\(rounded(range.lowerBound, 6)) to \(rounded(range.upperBound, 6)) \(unit)"
            finding = "\(sensor.rawValue): \(outside) of the \(seen) samples of its first minute lie outside "
                + "\(limits); \(hint)"
        }
        if magnitudes.count < rule.leastSamples { return }
        let sorted = magnitudes.sorted()
        let median = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
        magnitudes = []
        refused = !rule.gravity.contains(median)
        if refused {
            finding = "motion: median magnitude of acceleration \(rounded(median, 3)), expected about 1 g; "
                + "\(motionHint(median, rule)); its samples are not used"
        }
    }

    private func motionHint(_ median: Double, _ rule: GuardRule) -> String {
        if rule.gravity.contains(median / rule.standardGravity) {
            return "it seems to be in m/s²: divide by \(rule.standardGravity)"
        }
        if median < rule.gravity.lowerBound {
            return "gravity seems to have been removed: feed acceleration with gravity"
        }
        return "it is in another unit"
    }

    private var unit: String { sensor == .motion ? "g" : "bpm" }

    private var hint: String {
        sensor == .motion
            ? "is it in milli-g (divide by 1000), or raw numbers of the sensor?"
            : "is it beats per second (multiply by 60), or milliseconds from beat to beat (60000 / value)?"
    }
}

func magnitude(_ xyz: [Double]) -> Double {
    let squares: Double = xyz[0] * xyz[0] + xyz[1] * xyz[1] + xyz[2] * xyz[2]
    return squares.squareRoot()
}

/// A number with at most this many significant digits.
private func rounded(_ value: Double, _ digits: Int) -> String {
    String(format: "%.\(digits)g", value)
}
