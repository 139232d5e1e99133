#if (os(iOS) && !targetEnvironment(macCatalyst)) || os(watchOS)
import CoreMotion
import Darwin
import Foundation

/// A monotonic clock: the Unix time of its creation, advanced by the time since boot.
///
/// Core Motion's time stamps count seconds since the boot. This clock counts those in which the device slept as well:
/// its times fit samples, `start` and `take(now:)`. They are Unix times too, so that segments
/// need no origin. A later process of the same boot makes its clock of the saved `origin`; after a reboot it makes a
/// new one. Each device has its own: samples carry the time of the device that made them.
public struct NightClock: Codable, Equatable, Sendable {
    /// Unix time in s at which the time since the boot was 0.
    public let origin: Double

    public init() {
        origin = Date().timeIntervalSince1970 - NightClock.sinceBoot
    }

    public init(origin: Double) {
        self.origin = origin
    }

    /// s, now.
    public var now: Double { origin + NightClock.sinceBoot }

    /// s, of a time stamp of Core Motion, such as `CMLogItem.timestamp`. Ask as soon as it is delivered: sleep of the
    /// device after the sample would count as before it.
    ///
    /// Apple documents a time stamp as seconds since the boot, and not whether sleep is in it. It is there in one that
    /// is later than the time awake.
    public func time(ofTimestamp timestamp: TimeInterval) -> Double {
        let awake = NightClock.awakeSinceBoot
        if timestamp > awake { return origin + timestamp }
        let slept = NightClock.sinceBoot - awake
        return origin + (slept * 1000).rounded() / 1000 + timestamp  // whole ms: the two are not read at one instant
    }

    /// s, sleep of the device included.
    private static var sinceBoot: Double { Double(clock_gettime_nsec_np(CLOCK_MONOTONIC_RAW)) / 1e9 }

    private static var awakeSinceBoot: Double { Double(clock_gettime_nsec_np(CLOCK_UPTIME_RAW)) / 1e9 }
}

extension Sample {
    /// Acceleration as Core Motion gives it: in g, gravity included, with the sign that the models were trained with.
    public init(_ data: CMAccelerometerData, clock: NightClock) {
        let g = data.acceleration
        self.init(.motion, clock.time(ofTimestamp: data.timestamp), [g.x, g.y, g.z])
    }

    /// Acceleration that CMSensorRecorder kept, with its time of day: for nights whose `start` is Unix time.
    public init(recorded data: CMRecordedAccelerometerData) {
        let g = data.acceleration
        self.init(.motion, data.startDate.timeIntervalSince1970, [g.x, g.y, g.z])
    }
}

extension SleepStager {
    /// Take a sample of the accelerometer. Its time is that of `clock`, as `start` has to be.
    ///
    /// - Throws: as `feed` of a sample.
    public func feed(_ data: CMAccelerometerData, clock: NightClock) throws {
        try feed(Sample(data, clock: clock))
    }
}
#endif
