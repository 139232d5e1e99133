// Copy this file into the app's target, which sees the pod TensorFlowLiteSwift; a Swift package cannot.
import Foundation
import TensorFlowLite
import Wristsleep

/// LiteRT as the pod TensorFlowLiteSwift has it.
struct LiteRTRuntime: StagerRuntime {
    let name = "tensorflow-lite-swift"

    func load(_ file: URL) throws -> any StagerModel {
        try LiteRTModel(file)
    }
}

private final class LiteRTModel: StagerModel {
    private let interpreter: Interpreter
    private var runners: [String: SignatureRunner] = [:]

    init(_ file: URL) throws {
        var options = Interpreter.Options()
        options.threadCount = 1
        interpreter = try Interpreter(modelPath: file.path, options: options)
    }

    func tensors(_ signature: String) throws -> (inputs: [StagerTensor], outputs: [StagerTensor]) {
        let runner = try signatureRunner(signature)
        let inputs = try runner.inputs.map { try tensor($0, runner.input(named: $0)) }
        let outputs = try runner.outputs.map { try tensor($0, runner.output(named: $0)) }
        return (inputs, outputs)
    }

    /// name: in the signature; the tensor has another.
    private func tensor(_ name: String, _ tensor: TensorFlowLite.Tensor) -> StagerTensor {
        StagerTensor(name: name, type: "\(tensor.dataType)", shape: tensor.shape.dimensions)
    }

    func run(_ signature: String, inputs: [String: [Float]], outputs: [String]) throws -> [String: [Float]] {
        let runner = try signatureRunner(signature)
        var data: [String: Data] = [:]
        for (name, values) in inputs {
            data[name] = values.withUnsafeBytes { Data($0) }
        }
        try runner.invoke(with: data)
        var found: [String: [Float]] = [:]
        for name in outputs {
            found[name] = floats(try runner.output(named: name).data)
        }
        return found
    }

    private func signatureRunner(_ signature: String) throws -> SignatureRunner {
        if let runner = runners[signature] { return runner }
        let runner = try interpreter.signatureRunner(with: signature)
        runners[signature] = runner
        return runner
    }

    private func floats(_ data: Data) -> [Float] {
        var values = [Float](repeating: 0, count: data.count / MemoryLayout<Float>.size)
        _ = values.withUnsafeMutableBytes { data.copyBytes(to: $0) }
        return values
    }
}
