package dev.wristsleep

import java.io.DataInputStream
import java.io.DataOutputStream
import java.math.BigDecimal
import java.math.MathContext
import java.math.RoundingMode
import kotlin.math.min
import kotlin.math.sqrt

/** Checks, on a sensor's first minute of samples, that they are in the expected unit. */
internal class InputGuard(private val sensor: Sensor, private val rule: GuardRule, private val range: SensorEntry) {
    private var first = Double.POSITIVE_INFINITY // s, time of the first sample
    private var seen = 0 // samples
    private var outside = 0 // of them, out of range
    private var magnitudes = ArrayList<Double>() // g, of motion in range
    private var decided = false
    private var refused = false

    /** What is wrong, as a sentence; "" for nothing. */
    var finding = ""
        private set

    /** Whether a sample is accepted. */
    fun accept(t: Double, value: DoubleArray, inRange: Boolean): Boolean {
        if (decided) return !refused
        first = min(first, t)
        val enough = sensor != Sensor.MOTION || maxOf(outside, seen - outside) >= rule.leastSamples
        if (t >= first + rule.first && enough) {
            decide()
            return !refused
        }
        seen++
        if (!inRange) outside++ else if (sensor == Sensor.MOTION) magnitudes.add(magnitude(value))
        return true
    }

    private fun decide() {
        decided = true
        val (unit, hint) = UNITS.getValue(sensor)
        if (2 * outside > seen) {
            finding = "${sensor.id}: $outside of the $seen samples of its first minute lie outside " +
                "${rounded(range.low, 6)} to ${rounded(range.high, 6)} $unit; $hint"
        }
        if (magnitudes.size < rule.leastSamples) return
        val sorted = magnitudes.sorted()
        val median = (sorted[(sorted.size - 1) / 2] + sorted[sorted.size / 2]) / 2
        magnitudes = ArrayList()
        refused = median !in rule.gravity
        if (refused) {
            finding = "motion: median magnitude of acceleration ${rounded(median, 3)}, expected about 1 g; " +
                "${unitHint(median)}; its samples are not used"
        }
    }

    private fun unitHint(median: Double) = when {
        median / rule.standardGravity in rule.gravity -> "it seems to be in m/s²: divide by ${rule.standardGravity}"
        median < rule.gravity.start -> "gravity seems to have been removed: feed acceleration with gravity"
        else -> "it is in another unit"
    }

    fun write(out: DataOutputStream) {
        out.writeDouble(first)
        out.writeInt(seen)
        out.writeInt(outside)
        out.writeBoolean(decided)
        out.writeBoolean(refused)
        out.writeUTF(finding)
        out.writeInt(magnitudes.size)
        magnitudes.forEach { out.writeDouble(it) }
    }

    fun read(from: DataInputStream): InputGuard {
        first = from.readDouble()
        seen = from.readInt()
        outside = from.readInt()
        decided = from.readBoolean()
        refused = from.readBoolean()
        finding = from.readUTF()
        magnitudes = ArrayList(List(count(from)) { from.readDouble() })
        return this
    }

    companion object {
        /** The sensors that have a guard, with their unit and what may be wrong with it. */
        val UNITS = mapOf(
            Sensor.HEART_RATE to Pair(
                "bpm",
                "is it beats per second (multiply by 60), or milliseconds from beat to beat (60000 / value)?"
            ),
            Sensor.MOTION to Pair("g", "is it in milli-g (divide by 1000), or raw numbers of the sensor?")
        )
    }
}

internal fun magnitude(xyz: DoubleArray): Double = sqrt(xyz[0] * xyz[0] + xyz[1] * xyz[1] + xyz[2] * xyz[2])

/** A number with at most this many significant digits, as C's %g writes it. */
internal fun rounded(value: Double, digits: Int): String {
    val exact = BigDecimal(value).round(MathContext(digits, RoundingMode.HALF_EVEN))
    if (exact.signum() == 0) return "0"
    val exponent = exact.precision() - exact.scale() - 1
    if (exponent in -4 until digits) return exact.stripTrailingZeros().toPlainString()
    val power = (if (exponent < 0) "-" else "+") + Math.abs(exponent).toString().padStart(2, '0')
    return exact.scaleByPowerOfTen(-exponent).stripTrailingZeros().toPlainString() + "e$power"
}

/** How many values follow in a saved state. */
internal fun count(from: DataInputStream): Int =
    from.readInt().also { require(it in 0..from.available()) { "values are missing" } }
