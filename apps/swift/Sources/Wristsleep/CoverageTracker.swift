/// Computes the coverage of each window, and whether there are too few data to predict a stage.
struct CoverageTracker: Codable {
    private var recent: [String: [Bool]] = [:]  // by sensor, whether each of the newest strides has a value
    private var since: [String: Double] = [:]  // by sensor, s from its newest value to the window's end; none if never
    private var still: Double?  // s since the last stride with movement; nil if there has been none
    private var elapsed: Double = 0  // s of the night

    init() {}

    /// Coverage of the next window, values by channel.
    mutating func update(_ window: [String: [Float]], _ contract: Contract) -> [Sensor: SensorCoverage] {
        let stride = Double(contract.stride)
        let most = max(1, Int((contract.unknown.coverage / stride).rounded(.down)))
        var coverage: [Sensor: SensorCoverage] = [:]
        var moved = false
        elapsed += stride
        for sensor in Sensor.allCases {
            guard let entry = contract.sensors[sensor], !entry.channels.isEmpty else { continue }
            let name = sensor.rawValue
            var age: Double?
            for filled in entry.channels {
                let channel = filled.channel
                let values: [Float] = window[channel.name] ?? []
                let newest: [Float] = Array(values.suffix(channel.newest).reversed())
                if let i = newest.firstIndex(where: { $0 != channel.missing }) {
                    let seconds = Double(i * channel.seconds)
                    age = min(age ?? seconds, seconds)
                }
                if channel.isSum && newest.contains(where: { $0 > 0 }) {
                    moved = true
                }
            }
            var strides: [Bool] = recent[name] ?? []
            strides.append(age != nil)
            if strides.count > most {
                strides.removeFirst(strides.count - most)
            }
            recent[name] = strides
            if let age = age {
                since[name] = age
            } else if let before = since[name] {
                since[name] = before + stride
            }
            let share = Double(strides.filter { $0 }.count) / Double(strides.count)
            coverage[sensor] = SensorCoverage(share: share, secondsSince: since[name])
        }
        // acceleration alone cannot tell a still wrist from a table
        if recent[Sensor.activity.rawValue] == nil && recent[Sensor.motion.rawValue]?.last == true {
            moved = true
        }
        if moved {
            still = 0
        } else if let before = still {
            still = before + stride
        }
        return coverage
    }

    /// Of the newest window.
    func isUnknown(_ rule: UnknownRule) -> Bool {
        let heart = since[Sensor.heartRate.rawValue]
        if let heart = heart, heart < rule.absent { return false }
        let never = Double.infinity
        let movement = min(since[Sensor.motion.rawValue] ?? never, since[Sensor.activity.rawValue] ?? never)
        let stillFor: Double = still ?? (heart == nil ? never : elapsed)
        let offWrist: Double = heart == nil ? rule.offWristBlind : rule.offWrist
        return movement >= rule.absent || stillFor >= offWrist
    }
}
