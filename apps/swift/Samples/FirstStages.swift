import Foundation
import Wristsleep

/// Stages of ten minutes of example data. The bundle is the folder reference `bundle` of the app's target.
func firstStages() throws -> [Epoch] {
    guard let folder = Bundle.main.url(forResource: "bundle", withExtension: nil) else {
        throw CocoaError(.fileNoSuchFile)
    }
    let start: Double = 1_767_999_600  // Unix time
    let stager = try SleepStager(folder: folder, runtime: LiteRTRuntime(), start: start)
    var night: [Epoch] = []
    for second in 0..<600 {
        let t = start + Double(second)
        try stager.feed(.heartRate, t, Double(58 + second % 5))
        try stager.feed(.motion, t, 0.02, -0.31, -0.95)
        night += try stager.take()
    }
    night += try stager.take(now: start + 600)  // the clock closes the last window
    return night
}
