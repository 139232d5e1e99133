#if os(watchOS)
import CoreMotion
import Foundation
import HealthKit
import WatchConnectivity
import Wristsleep

/// A night on the watch: it collects and sends; the phone stages. Keep it for as long as the night lasts.
///
/// Activate WCSession.default, with a delegate, when the app starts.
final class WatchNight {
    private let health = HKHealthStore()
    private let motion = CMMotionManager()
    private let queue = OperationQueue()  // all that changes is changed here
    private let clock = NightClock()
    private var workout: HKWorkoutSession?
    private var heartRate: HKAnchoredObjectQuery?
    private var waiting: [Sample] = []

    init() {
        queue.maxConcurrentOperationCount = 1
    }

    /// Asks for heart rate, and for the workout that keeps the app running.
    func authorize() async throws {
        let read: Set<HKObjectType> = [HKQuantityType(.heartRate)]
        try await health.requestAuthorization(toShare: [HKObjectType.workoutType()], read: read)
    }

    func begin() throws {
        let configuration = HKWorkoutConfiguration()
        configuration.activityType = .mindAndBody
        configuration.locationType = .indoor
        let workout = try HKWorkoutSession(healthStore: health, configuration: configuration)
        workout.startActivity(with: Date())
        self.workout = workout
        listenToHeartRate()
        motion.accelerometerUpdateInterval = 1.0 / 50
        motion.startAccelerometerUpdates(to: queue) { [weak self] data, _ in
            guard let self = self, let data = data else { return }
            self.keep([Sample(data, clock: self.clock)])
        }
    }

    func end() {
        motion.stopAccelerometerUpdates()
        if let query = heartRate { health.stop(query) }
        workout?.end()
        queue.addOperation { self.send() }
    }

    private func listenToHeartRate() {
        let from = HKQuery.predicateForSamples(withStart: Date(), end: nil, options: .strictStartDate)
        let query = HKAnchoredObjectQuery(
            type: HKQuantityType(.heartRate), predicate: from, anchor: nil, limit: HKObjectQueryNoLimit
        ) { [weak self] _, samples, _, _, _ in
            self?.take(samples)
        }
        query.updateHandler = { [weak self] _, samples, _, _, _ in
            self?.take(samples)
        }
        health.execute(query)
        heartRate = query
    }

    private func take(_ samples: [HKSample]?) {
        let perMinute = HKUnit.count().unitDivided(by: .minute())
        var found: [Sample] = []
        for case let sample as HKQuantitySample in samples ?? [] {
            let bpm = sample.quantity.doubleValue(for: perMinute)
            found.append(Sample(.heartRate, sample.startDate.timeIntervalSince1970, [bpm]))
        }
        queue.addOperation { self.keep(found) }
    }

    /// On the queue: about a minute's samples go to the phone at once.
    private func keep(_ samples: [Sample]) {
        waiting.append(contentsOf: samples)
        if waiting.count >= 3000 { send() }
    }

    private func send() {
        let samples = waiting
        waiting = []
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).plist")
        let encoder = PropertyListEncoder()
        encoder.outputFormat = .binary
        do {
            try encoder.encode(samples).write(to: file)
            WCSession.default.transferFile(file, metadata: nil)  // queued by the system, also while the phone is away
        } catch {
            print("WatchNight: \(samples.count) samples are lost: \(error)")  // the night goes on
        }
    }
}
#endif
