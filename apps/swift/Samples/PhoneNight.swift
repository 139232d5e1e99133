#if os(iOS)
import Foundation
import WatchConnectivity
import Wristsleep

/// A night on the phone: it takes what the watch sends, and stages it. Set it as the delegate of WCSession.default and
/// activate that when the app starts: the system starts the app in the background for a file.
@available(iOS 16.0, *)
final class PhoneNight: NSObject, WCSessionDelegate {
    private static let delivery: Double = 120  // s: all samples of the watch have come by then, as a rule
    private let queue = DispatchQueue(label: "PhoneNight")  // all that changes is changed here
    private let stager: SleepStager
    private let saved: URL
    private let show: ([Epoch]) -> Void
    private var waiting: [Sample] = []

    /// start: Unix time in s. saved: a file for the night that is under way. show: is called on another queue.
    init(bundle: URL, start: Double, saved: URL, show: @escaping ([Epoch]) -> Void) throws {
        self.stager = try SleepStager(folder: bundle, runtime: LiteRTRuntime(), start: start)
        self.saved = saved
        self.show = show
        super.init()
        if let state = try? Data(contentsOf: saved) {
            do {
                try stager.restore(state)
            } catch {  // the app has another model now: the night starts again
                print("PhoneNight: \(error)")
            }
        }
    }

    func session(_ session: WCSession, didReceive file: WCSessionFile) {
        guard let content = try? Data(contentsOf: file.fileURL),  // gone once this function returns
            let samples = try? PropertyListDecoder().decode([Sample].self, from: content)
        else { return }
        queue.async { self.take(samples) }
    }

    /// Feed in time order what every sensor has delivered by now, take its stages.
    private func take(_ samples: [Sample]) {
        waiting.append(contentsOf: samples)
        waiting.sort { $0.t < $1.t }
        guard let newest = waiting.last else { return }
        let until = newest.t - PhoneNight.delivery
        let delivered = waiting.filter { $0.t <= until }
        waiting.removeAll { $0.t <= until }  // what still waits is lost if the app is ended
        do {
            for sample in delivered {
                try stager.feed(sample)
            }
            show(try stager.take(now: until))
            try stager.save().write(to: saved, options: .atomic)
        } catch {
            print("PhoneNight: \(error)")
        }
    }

    func session(_ session: WCSession, activationDidCompleteWith state: WCSessionActivationState, error: Error?) {}

    func sessionDidBecomeInactive(_ session: WCSession) {}

    func sessionDidDeactivate(_ session: WCSession) {
        session.activate()  // for another watch
    }
}
#endif
