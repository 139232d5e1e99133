/// Motion that was not passed to the activity model yet, resampled to its regular grid.
struct MotionGrid: Codable {
    private struct Point: Codable {
        let t: Double  // s since the start
        let xyz: [Double]
    }

    private var samples: [Point] = []  // in time order

    init() {}

    var isEmpty: Bool { samples.isEmpty }

    /// Take a sample at `t` (s since the start), unless it is earlier than the newest.
    mutating func add(_ t: Double, _ xyz: [Double]) {
        if let last = samples.last, t < last.t { return }
        samples.append(Point(t: t, xyz: xyz))
    }

    /// Acceleration of a closing stride: x, y, z of each point.
    mutating func close(_ index: Int, _ counting: MotionCounting, stride: Int) -> [Float] {
        let points = counting.hz * stride
        var motion = [Float](repeating: counting.missing, count: 3 * points)
        var after = 0  // the first sample at or after the point
        for i in 0...points {
            let point = index * points + i
            let t = Double(point) / Double(counting.hz)
            while after < samples.count && samples[after].t < t {
                after += 1
            }
            if i == points || after == 0 { continue }
            let before = samples[after - 1]
            let bin = point / (counting.hz * counting.bin)
            let due = counting.grace + Double(counting.bin * (bin + 1))
            var next: Point?
            if after < samples.count && samples[after].t <= due {
                next = samples[after]
            }
            let until: Double = next?.t ?? due
            if until - before.t > counting.gap { continue }
            for k in 0..<3 {
                var value = before.xyz[k]
                if let next = next {
                    let along = (t - before.t) / (next.t - before.t)
                    value += (next.xyz[k] - before.xyz[k]) * along
                }
                motion[3 * i + k] = Float(value)
            }
        }
        if after > 1 {
            samples.removeFirst(after - 1)  // the next stride needs the last sample before it, and later ones
        }
        return motion
    }
}
