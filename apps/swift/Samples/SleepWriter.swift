import Foundation
import HealthKit
import Wristsleep

/// Writes nights into Health. Info.plist needs NSHealthUpdateUsageDescription, the target the capability HealthKit.
@available(iOS 16.0, *)
struct SleepWriter {
    private let health = HKHealthStore()
    private let sleep = HKCategoryType(.sleepAnalysis)

    /// Asks once, then never again. Health never tells an app of a refusal to read; of one to write it does.
    func authorize() async throws -> Bool {
        guard HKHealthStore.isHealthDataAvailable() else { return false }
        try await health.requestAuthorization(toShare: [sleep], read: [])
        return health.authorizationStatus(for: sleep) == .sharingAuthorized
    }

    /// Core, deep and REM are there from iOS 16 on. A longer part of the same night replaces the shorter one.
    func write(_ night: [Epoch], zone: TimeZone = .current) async throws {
        let runs = SleepStager.segments(night, zone: zone, store: .healthKit)
        guard let first = runs.first else { return }
        let name = "wristsleep-\(Int(first.start.timeIntervalSince1970))"
        var samples: [HKCategorySample] = []
        for (i, run) in runs.enumerated() {
            let metadata: [String: Any] = [
                HKMetadataKeyTimeZone: zone.identifier,
                HKMetadataKeySyncIdentifier: "\(name)-\(i)",
                HKMetadataKeySyncVersion: NSNumber(value: Int(run.end.timeIntervalSince1970)),  // the greater one holds
            ]
            samples.append(
                HKCategorySample(type: sleep, value: run.value, start: run.start, end: run.end, metadata: metadata))
        }
        try await health.save(samples)
    }
}
