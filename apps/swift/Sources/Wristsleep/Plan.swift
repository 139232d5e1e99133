/// A float32 tensor. `link`: where an input comes from, or what an output becomes; "" for nothing. `size`: values.
struct Tensor {
    let name: String
    let link: String
    let shape: [Int]
    let size: Int

    /// linkName: `from` of an input, `to` of an output.
    init(_ field: Field, linkName: String) throws {
        name = try field.get("name").text()
        link = try field.find(linkName)?.text() ?? ""
        shape = try field.get("shape").list().map { try $0.size() }
        size = try field.get("shape").tensorSize()
        if let type = try field.find("dtype") {
            let text = try type.text()
            guard text == "float32" else { throw type.wrong("'\(text)': expected float32") }
        }
    }
}

struct Call {
    let file: String
    let sha256: String
    let signature: String
    let inputs: [Tensor]
    let outputs: [Tensor]
    /// Status of the file by runtime.
    let runtimes: [String: String]

    init(_ field: Field) throws {
        let file = try field.get("file").text()
        guard !file.isEmpty && file != "." && file != ".." && !file.contains("/") && !file.contains("\\") else {
            throw try field.get("file").wrong("'\(file)': expected a name in the bundle, not a path")
        }
        self.file = file
        sha256 = try field.get("sha256").text()
        signature = try field.get("signature").text()
        inputs = try field.get("inputs").list().map { try Tensor($0, linkName: "from") }
        outputs = try field.get("outputs").list().map { try Tensor($0, linkName: "to") }
        var statuses: [String: String] = [:]
        if let runtimes = try field.find("runtimes") {
            for (name, status) in try runtimes.entries() {
                statuses[name] = try status.text()
            }
        }
        runtimes = statuses
    }
}

/// Calls in their order, and the values with which their states begin.
struct Plan {
    let calls: [Call]
    let states: [String: [Float]]
    /// Sizes of all tensors after the last call, by link.
    let sizes: [String: Int]

    /// sources: sizes of what is there before the first call, by link. initial: of states that do not begin at 0.
    init(_ field: Field, sources: [String: Int], initial: [String: Double] = [:]) throws {
        let calls: [Call] = try field.get("calls").list().map { try Call($0) }
        var states: [String: [Float]] = [:]
        var sizes = sources
        for (name, state) in try field.get("states").entries() {
            let size = try state.get("shape").tensorSize()
            let first = try state.get("initial").constant(initial[name] ?? 0)
            states[name] = [Float](repeating: Float(first), count: size)
            sizes["state:\(name)"] = size
        }
        for call in calls {
            for tensor in call.inputs {
                guard let there = sizes[tensor.link] else {
                    throw field.wrong("\(call.file): input \(tensor.name): there is no '\(tensor.link)'")
                }
                guard there == tensor.size else {
                    throw field.wrong(
                        "\(call.file): input \(tensor.name) takes \(tensor.size) values, '\(tensor.link)' has \(there)")
                }
            }
            for tensor in call.outputs {
                sizes["output:\(tensor.name)"] = tensor.size
            }
        }
        for tensor in calls.flatMap({ $0.outputs }) where !tensor.link.isEmpty {
            if tensor.link.hasPrefix("channel:") {
                sizes[tensor.link] = tensor.size
            } else if sizes[tensor.link] != tensor.size {
                throw field.wrong("output \(tensor.name) does not fit '\(tensor.link)'")
            }
        }
        let renewed = Set(calls.flatMap { $0.outputs }.map { $0.link })
        for name in states.keys where !renewed.contains("state:\(name)") {
            throw try field.get("states").wrong("no output becomes \(name)")
        }
        self.calls = calls
        self.states = states
        self.sizes = sizes
    }
}

/// One precision of the network. `output`: link of its probabilities.
struct Precision {
    let plan: Plan
    let output: String

    init(_ field: Field, channels: [Channel]) throws {
        var sources: [String: Int] = [:]
        for channel in channels {
            sources["channel:\(channel.name)"] = channel.values
        }
        let probabilities = try field.get("probabilities")
        plan = try Plan(field, sources: sources)
        output = "output:\(try probabilities.text())"
        guard plan.sizes[output] == Stage.scored.count else {
            throw probabilities.wrong("expected an output of \(Stage.scored.count) values")
        }
    }
}

/// How activity counts are computed from raw motion on a regular grid. Times in s.
struct MotionCounting {
    let hz: Int
    let missing: Float
    let grace: Double
    let gap: Double
    let bin: Int
    /// How much motion one call takes.
    let callSeconds: Int
    let plan: Plan

    init(_ field: Field, stride: Int, channels: [Channel]) throws {
        let hz = Int(try field.get("hz").constant(50))
        let callSeconds = try field.find("call_seconds")?.size() ?? stride
        let sources = ["sensor:motion": 3 * hz * callSeconds]
        let plan = try Plan(field, sources: sources, initial: ["newest": Sensor.motion.missing])
        guard let channel = channels.first(where: { $0.name == "activity" }) else {
            throw field.wrong("the model has no channel activity")
        }
        let given = Double(plan.sizes["channel:activity"] ?? 0) * Double(stride / callSeconds)  // any product fits
        guard stride % callSeconds == 0 && given == Double(channel.newest) else {
            let expected = "the \(channel.newest) values of a stride of \(stride) s"
            throw field.wrong("calls of \(callSeconds) s do not give \(expected)")
        }
        self.hz = hz
        missing = Float(try field.get("missing").constant(Sensor.motion.missing))
        grace = try field.get("grace_seconds").constant(graceSeconds)
        gap = try field.get("gap_seconds").constant(1)
        bin = Int(try field.get("bin_seconds").constant(Double(binSeconds)))
        self.callSeconds = callSeconds
        self.plan = plan
    }
}
