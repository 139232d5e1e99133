package dev.wristsleep

import java.io.DataInputStream
import java.io.DataOutputStream
import kotlin.math.max
import kotlin.math.min

/** Motion that was not passed to the activity model yet, resampled to its regular grid. */
internal class MotionGrid(private val counting: MotionCounting, private val stride: Int) {
    private val samples = ArrayList<DoubleArray>() // s from the start, x, y, z; in time order

    val isEmpty get() = samples.isEmpty()

    /** Take a sample at [t] (s since the start), unless it is earlier than the newest. */
    fun add(t: Double, value: DoubleArray) {
        if (samples.isEmpty() || t >= samples.last()[0]) samples.add(doubleArrayOf(t) + value)
    }

    /** Acceleration of a closing stride: x, y, z of each point. */
    fun close(index: Int): FloatArray {
        val points = counting.hz * stride
        val motion = FloatArray(3 * points) { counting.missing }
        var after = 0 // the first sample at or after the point
        for (i in 0..points) {
            val point = index.toLong() * points + i
            val t = point.toDouble() / counting.hz
            while (after < samples.size && samples[after][0] < t) after++
            if (i == points || after == 0) continue
            val before = samples[after - 1]
            val next = if (after < samples.size) samples[after] else null
            val due = counting.grace + counting.bin * (point / (counting.hz * counting.bin) + 1)
            if (min(next?.get(0) ?: due, due) - before[0] > counting.gap) continue
            for (k in 1..3) {
                val value = if (next == null || next[0] > due) before[k] else
                    before[k] + (next[k] - before[k]) * ((t - before[0]) / (next[0] - before[0]))
                motion[3 * i + k - 1] = value.toFloat()
            }
        }
        samples.subList(0, max(after - 1, 0)).clear() // the next stride needs the last sample before it, and later ones
        return motion
    }

    fun write(out: DataOutputStream) {
        out.writeInt(samples.size)
        samples.forEach { sample -> sample.forEach { out.writeDouble(it) } }
    }

    fun read(from: DataInputStream): MotionGrid {
        repeat(count(from)) { samples.add(DoubleArray(4) { from.readDouble() }) }
        return this
    }
}
