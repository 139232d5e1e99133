#if os(macOS) || os(Linux)
import Foundation
import XCTest

@testable import Wristsleep

/// Top of Wristsleep's repository, in which this package is apps/swift.
let repository: URL = {
    var folder = URL(fileURLWithPath: #filePath)
    for _ in 0..<5 {
        folder.deleteLastPathComponent()
    }
    return folder
}()

/// Runs .tflite files in Python: hands each call to tests/apps/interpreters.py, line by line.
final class StandInRuntime: StagerRuntime {
    let name = "tensorflow-lite-swift"
    private let process = Process()
    private let toChild = Pipe()
    private let fromChild = Pipe()
    private var unread = Data()

    /// The Python is that of .venv, or what PYTHON names.
    init() throws {
        let environment = ProcessInfo.processInfo.environment
        let script = repository.appendingPathComponent("tests/apps/interpreters.py")
        let python = environment["PYTHON"] ?? repository.appendingPathComponent(".venv/bin/python").path
        guard FileManager.default.fileExists(atPath: script.path), FileManager.default.isExecutableFile(atPath: python)
        else { throw XCTSkip("needs Wristsleep's repository, and \(python) with ai-edge-litert") }
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [script.path, FileManager.default.temporaryDirectory.path]
        process.standardInput = toChild
        process.standardOutput = fromChild
        try process.run()
    }

    deinit {
        try? toChild.fileHandleForWriting.close()
    }

    func load(_ file: URL) throws -> any StagerModel {
        let content = try Data(contentsOf: file)
        let number = try answer("load \(content.base64EncodedString())")
        return StandInModel(number, self)
    }

    func answer(_ line: String) throws -> String {
        try toChild.fileHandleForWriting.write(contentsOf: Data("\(line)\n".utf8))
        let newline = UInt8(ascii: "\n")
        while !unread.contains(newline) {
            let more = fromChild.fileHandleForReading.availableData
            if more.isEmpty { throw CocoaError(.fileReadUnknown) }  // the child has ended
            unread.append(more)
        }
        let bytes = unread.prefix(while: { $0 != newline })
        let text = String(decoding: bytes, as: UTF8.self)
        unread = Data(unread.dropFirst(bytes.count + 1))
        return text
    }
}

private final class StandInModel: StagerModel {
    private let number: String
    private let runtime: StandInRuntime

    init(_ number: String, _ runtime: StandInRuntime) {
        self.number = number
        self.runtime = runtime
    }

    func tensors(_ signature: String) throws -> (inputs: [StagerTensor], outputs: [StagerTensor]) {
        struct Found: Decodable {
            let name: String
            let dtype: String
            let shape: [Int]
            var tensor: StagerTensor { StagerTensor(name: name, type: dtype, shape: shape) }
        }
        let answer = try runtime.answer("signatures \(number)")
        let all = try JSONDecoder().decode([String: [String: [Found]]].self, from: Data(answer.utf8))
        guard let sides = all[signature], let inputs = sides["inputs"], let outputs = sides["outputs"] else {
            throw CocoaError(.keyValueValidation)
        }
        return (inputs.map { $0.tensor }, outputs.map { $0.tensor })
    }

    func run(_ signature: String, inputs: [String: [Float]], outputs: [String]) throws -> [String: [Float]] {
        var line = "run \(number) \(signature)"
        for (name, values) in inputs {
            let data = values.withUnsafeBytes { Data($0) }
            line += " \(name)=\(data.base64EncodedString())"
        }
        var found: [String: [Float]] = [:]
        for part in try runtime.answer(line).split(separator: " ") {
            guard let equals = part.firstIndex(of: "="),
                let data = Data(base64Encoded: String(part[part.index(after: equals)...]))
            else { throw CocoaError(.fileReadCorruptFile) }
            var values = [Float](repeating: 0, count: data.count / MemoryLayout<Float>.size)
            _ = values.withUnsafeMutableBytes { data.copyBytes(to: $0) }
            found[String(part[..<equals])] = values
        }
        return found
    }
}
#endif
