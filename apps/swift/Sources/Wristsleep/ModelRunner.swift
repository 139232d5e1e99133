import Foundation

/// Runs .tflite files. The app brings it, as LiteRT's pod cannot be a package's dependency: `LiteRTRuntime.swift`.
public protocol StagerRuntime {
    /// As `runtimes` in contract.json names it; a file that is refused there is not loaded.
    var name: String { get }

    /// A file of a bundle, once its digest is known to be right.
    func load(_ file: URL) throws -> any StagerModel
}

/// A tensor of a file.
public struct StagerTensor {
    public let name: String
    /// As contract.json names it, such as float32.
    public let type: String
    public let shape: [Int]

    public init(name: String, type: String, shape: [Int]) {
        self.name = name
        self.type = type
        self.shape = shape
    }
}

/// A file that is loaded. One thread at a time uses it.
public protocol StagerModel: AnyObject {
    /// Inputs and outputs of a signature, as the file has them; it throws where there is no such signature.
    func tensors(_ signature: String) throws -> (inputs: [StagerTensor], outputs: [StagerTensor])

    /// Run a signature. Tensors are values in row-major order, by their names in the signature.
    ///
    /// - Parameter outputs: names of those to give.
    func run(_ signature: String, inputs: [String: [Float]], outputs: [String]) throws -> [String: [Float]]
}

/// Makes the calls of a bundle.
final class ModelRunner {
    private let models: [String: any StagerModel]

    /// Load the files of calls.
    ///
    /// - Throws: `StagerError` of code `refusedRuntime`, `missingFile`, `alteredFile` or `unsupportedContract`.
    init(calls: [Call], folder: URL, runtime: any StagerRuntime) throws {
        var models: [String: any StagerModel] = [:]
        for call in calls {
            let status = call.runtimes[runtime.name] ?? ""
            if status.hasPrefix("refused") {
                throw StagerError(.refusedRuntime, "\(call.file): not for \(runtime.name): \(status)")
            }
            let digest = sha256(try readFile(call.file, in: folder))
            guard digest == call.sha256 else {  // a damaged file can crash the runtime
                throw StagerError(.alteredFile, "\(call.file): SHA-256 is \(digest), expected \(call.sha256)")
            }
            if let model = models[call.file] {
                try ModelRunner.check(call, model)
                continue
            }
            let model: any StagerModel
            do {
                model = try runtime.load(folder.appendingPathComponent(call.file))
            } catch {
                throw StagerError(.refusedRuntime, "\(call.file): \(runtime.name) cannot load it: \(error)")
            }
            try ModelRunner.check(call, model)
            models[call.file] = model
        }
        self.models = models
    }

    /// Check the tensors of a loaded file against the contract.
    private static func check(_ call: Call, _ model: any StagerModel) throws {
        let found: (inputs: [StagerTensor], outputs: [StagerTensor])
        do {
            found = try model.tensors(call.signature)
        } catch {
            throw StagerError(.unsupportedContract, "\(call.file): no signature \(call.signature): \(error)")
        }
        try compare("\(call.file): its inputs are", found.inputs, call.inputs)
        try compare("\(call.file): its outputs are", found.outputs, call.outputs)
    }

    private static func compare(_ what: String, _ found: [StagerTensor], _ promised: [Tensor]) throws {
        let there = found.map { "\($0.name) \($0.type) \($0.shape)" }.sorted()
        let expected = promised.map { "\($0.name) float32 \($0.shape)" }.sorted()
        guard there == expected else {
            throw StagerError(.unsupportedContract, "\(what) \(there), \(contractFile) promises \(expected)")
        }
    }

    /// Make the calls of a plan in order, and renew its states; they stay as they are where a call fails. Gives sources
    /// and all that the calls gave, by link.
    func run(
        _ plan: Plan, states: inout [String: [Float]], sources: [String: [Float]]
    ) throws -> [String: [Float]] {
        var tensors = sources
        var renewed: [String: [Float]] = [:]
        for (name, values) in states {
            tensors["state:\(name)"] = values
        }
        for call in plan.calls {
            guard let model = models[call.file] else {
                throw StagerError(.missingFile, "\(call.file): not loaded")
            }
            var inputs: [String: [Float]] = [:]
            for tensor in call.inputs {
                guard let values = tensors[tensor.link], values.count == tensor.size else {
                    throw StagerError(.wrongValueCount, "\(tensor.link): expected \(tensor.size) values")
                }
                inputs[tensor.name] = values
            }
            let outputs = try model.run(call.signature, inputs: inputs, outputs: call.outputs.map { $0.name })
            for tensor in call.outputs {
                let values = outputs[tensor.name] ?? []
                guard values.count == tensor.size else {
                    let found = "\(tensor.name) has \(values.count) values, expected \(tensor.size)"
                    throw StagerError(.refusedRuntime, "\(call.file): \(found)")
                }
                tensors["output:\(tensor.name)"] = values
                if !tensor.link.isEmpty {
                    renewed[tensor.link] = values
                }
            }
        }
        for name in plan.states.keys {
            if let values = renewed["state:\(name)"] {
                states[name] = values
            }
        }
        return tensors.merging(renewed) { _, new in new }
    }
}
