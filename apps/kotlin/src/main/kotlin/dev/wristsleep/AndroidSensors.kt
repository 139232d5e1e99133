package dev.wristsleep

import android.hardware.Sensor as AndroidSensor
import android.hardware.SensorEvent
import android.hardware.SensorManager
import android.os.SystemClock

private const val STANDARD_GRAVITY = 9.80665 // m/s² in a g

/**
 * A monotonic clock: the Unix time of its creation, advanced by the time since boot.
 *
 * Sensor events carry the time since the boot, and so does this clock: its times fit samples, `start` and `take(now)`.
 * They are Unix times too, so that segments need no origin. A later process of the same boot makes its clock of the
 * saved [origin]; after a reboot it makes a new one.
 *
 * @param origin Unix time in s at which the time since the boot was 0.
 */
public class NightClock(
    public val origin: Double = System.currentTimeMillis() / 1e3 - SystemClock.elapsedRealtimeNanos() / 1e9
) {
    /** s, of ns since the boot, such as [SensorEvent.timestamp]. */
    public fun time(elapsedNanos: Long): Double = origin + elapsedNanos / 1e9

    /** s. */
    public fun now(): Double = time(SystemClock.elapsedRealtimeNanos())
}

/**
 * The sample in an event of the heart-rate sensor or the accelerometer, in the units of [SleepStager.feed]; null where
 * the event itself says that it is not to be trusted (the heart-rate sensor has no contact, or is unreliable).
 *
 * Keep the sample, not the event, which Android uses again.
 *
 * @throws StagerException UNKNOWN_SENSOR for an event of another sensor.
 */
public fun SensorEvent.toSample(clock: NightClock): Sample? {
    val t = clock.time(timestamp)
    return when (sensor.type) {
        AndroidSensor.TYPE_HEART_RATE ->
            if (accuracy <= SensorManager.SENSOR_STATUS_UNRELIABLE) null
            else Sample(Sensor.HEART_RATE, t, values[0].toDouble())
        AndroidSensor.TYPE_ACCELEROMETER -> {
            // m/s² to g; Android has the force that holds the watch, and the model was fed the one that pulls it
            val xyz = DoubleArray(3) { values[it] / -STANDARD_GRAVITY }
            Sample(Sensor.MOTION, t, *xyz)
        }
        else -> fail(
            ErrorCode.UNKNOWN_SENSOR,
            "sensor of type ${sensor.type}: expected TYPE_HEART_RATE or TYPE_ACCELEROMETER"
        )
    }
}

/**
 * Take the sample in an event of the heart-rate sensor or the accelerometer: m/s² become g, time since the boot
 * becomes that of [clock]. An event that is not to be trusted is not fed.
 *
 * @throws StagerException as [toSample] and `feed` of a sample.
 */
public fun SleepStager.feed(event: SensorEvent, clock: NightClock) {
    event.toSample(clock)?.let { feed(it) }
}
