#if os(macOS) || os(Linux)
import Foundation
import XCTest

@testable import Wristsleep

/// What a vector cannot say.
final class StagerTests: XCTestCase {
    private let bundle = repository.appendingPathComponent("tests/vectors/bundles/all")

    func testDigest() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        let long = "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"
        XCTAssertEqual(sha256(Data()), empty)
        XCTAssertEqual(sha256(Data("abc".utf8)), abc)
        XCTAssertEqual(sha256(Data(repeating: UInt8(ascii: "a"), count: 1000)), long)
    }

    func testMessagesHaveTheFieldsPath() throws {
        let document = try JSONDecoder().decode(JSONValue.self, from: Data(#"{"a": {"b": [1, true, "x"]}}"#.utf8))
        let list = try Field(path: "", value: document).get("a").get("b").list()
        XCTAssertEqual(try list[0].size(), 1)
        XCTAssertThrowsError(try list[1].number()) { error in
            XCTAssertEqual("\(error.localizedDescription)", "contract.json: a.b.1: expected a number, got true")
        }
        XCTAssertThrowsError(try list[2].get("c")) { error in
            XCTAssertEqual("\(error.localizedDescription)", "contract.json: a.b.2: expected an object, got 'x'")
        }
    }

    func testZones() throws {
        XCTAssertEqual(try SleepStager.zone(named: "+02:00").secondsFromGMT(), 7200)
        XCTAssertEqual(try SleepStager.zone(named: "-0930").secondsFromGMT(), -34200)
        for name in ["", "Mars/Olympus", "+25:00", "+2", "+02:60", "+0a:00"] {
            XCTAssertThrowsError(try SleepStager.zone(named: name)) { error in
                XCTAssertEqual((error as? StagerError)?.code, .unknownZone)
            }
        }
    }

    func testAChangedByteOfASavedNightIsFound() throws {
        let runtime = try StandInRuntime()
        let stager = try SleepStager(folder: bundle, runtime: runtime, warn: { _ in })
        try stager.feed(.heartRate, 1, 60)
        var saved = try stager.save()
        try stager.restore(saved)
        saved[saved.count / 2] ^= 1
        XCTAssertThrowsError(try stager.restore(saved)) { error in
            XCTAssertEqual((error as? StagerError)?.code, .wrongState)
        }
    }

    func testAWindowIsNotLostWhereTheRuntimeFails() throws {
        let runtime = FailingRuntime(try StandInRuntime())
        let stager = try SleepStager(folder: bundle, runtime: runtime, warn: { _ in })
        try stager.feed(.heartRate, 1, 60)
        runtime.fails = true
        XCTAssertThrowsError(try stager.take(now: 60))
        runtime.fails = false
        XCTAssertEqual(try stager.take().map { $0.time }, [0, 30])
    }
}

private final class FailingRuntime: StagerRuntime {
    let name = "tensorflow-lite-swift"
    var fails = false
    private let runtime: StandInRuntime

    init(_ runtime: StandInRuntime) {
        self.runtime = runtime
    }

    func load(_ file: URL) throws -> any StagerModel {
        FailingModel(try runtime.load(file), self)
    }
}

private final class FailingModel: StagerModel {
    private let model: any StagerModel
    private let runtime: FailingRuntime

    init(_ model: any StagerModel, _ runtime: FailingRuntime) {
        self.model = model
        self.runtime = runtime
    }

    func tensors(_ signature: String) throws -> (inputs: [StagerTensor], outputs: [StagerTensor]) {
        try model.tensors(signature)
    }

    func run(_ signature: String, inputs: [String: [Float]], outputs: [String]) throws -> [String: [Float]] {
        if runtime.fails { throw CocoaError(.featureUnsupported) }
        return try model.run(signature, inputs: inputs, outputs: outputs)
    }
}
#endif
