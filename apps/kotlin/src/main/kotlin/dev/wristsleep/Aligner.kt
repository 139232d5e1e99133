package dev.wristsleep

import java.io.DataInputStream
import java.io.DataOutputStream
import java.util.ArrayDeque
import kotlin.math.ceil
import kotlin.math.floor

/** A closed stride: its newest values by channel, and motion whose activity is not counted yet. */
internal class Stride(val time: Double, val newest: Map<String, FloatArray>, val motion: FloatArray?)

/** Samples of a night that begins at [start] (s), laid into strides. */
internal class Aligner(private val contract: Contract, val start: Double) {
    private val stride = contract.stride
    private var closed = 0 // number of strides closed so far
    private val rows = contract.channels.associate { it.name to HashMap<Int, DoubleArray>() } // row -> sum, samples
    private val taken = Sensor.values().associate { it to HashSet<Double>() } // times of samples in open windows
    private val drops = Sensor.values().associate { it to IntArray(DropReason.values().size) }
    private val guards = InputGuard.UNITS.mapValues { (sensor, _) -> guard(sensor) }
    private var grid = contract.counting?.let { MotionGrid(it, stride) } // null once activity counts are fed

    /** Closed strides that were not taken yet. */
    val pending = ArrayDeque<Stride>()

    val dropped: Map<Sensor, Map<DropReason, Int>>
        get() = drops.mapValues { (_, counts) -> DropReason.values().associate { it to counts[it.ordinal] } }

    val findings: List<String> get() = guards.values.map { it.finding }.filter { it != "" }

    private fun guard(sensor: Sensor) = InputGuard(sensor, contract.guard, contract.sensors.getValue(sensor))

    /** Take a sample; it closes the windows that end before it. */
    fun feed(sensor: Sensor, t: Double, value: DoubleArray) {
        val finite = isFinite(t)
        if (finite) checkTime(t)
        val reason = accept(sensor, t, value)
        if (reason != null) drops.getValue(sensor)[reason.ordinal]++
        if (finite) close(slotOf(t - start, stride, true))
    }

    /** Close the windows that end by [now]. */
    fun advance(now: Double) {
        checkTime(now)
        close(floor((now - start) / stride).toInt())
    }

    private fun checkTime(t: Double) {
        if (t - start > contract.longest) {
            fail(
                ErrorCode.TIME_BEYOND_NIGHT,
                "t=$t s: more than a night after start=$start s; are these milliseconds? reset(start) begins a night"
            )
        }
    }

    /** Take a sample, or return the reason why it is dropped. */
    private fun accept(sensor: Sensor, t: Double, value: DoubleArray): DropReason? {
        if (!isFinite(t) || !value.all { isFinite(it) }) return DropReason.NOT_A_NUMBER
        val entry = contract.sensors.getValue(sensor)
        val counted = if (sensor == Sensor.MOTION) grid else null
        if (entry.channels.isEmpty() && counted == null) return null // the model does not use the sensor
        val inRange = value.all { entry.low <= it && it <= entry.high }
        if (guards[sensor]?.accept(t, value, inRange) == false) return DropReason.WRONG_UNIT
        if (!inRange) return DropReason.OUT_OF_RANGE
        val sinceStart = t - start
        if (slotOf(sinceStart, stride, entry.isSum) < closed) return DropReason.LATE
        // + 0.0, as a set takes -0.0 for another time
        if (!taken.getValue(sensor).add(t + 0.0)) return DropReason.REPEATED
        if (sensor == Sensor.ACTIVITY) grid = null
        counted?.add(sinceStart, value)
        val values = if (sensor == Sensor.MOTION) value + magnitude(value) else value
        for ((channel, place) in entry.channels) {
            val row = slotOf(sinceStart, channel.seconds, channel.isSum)
            val sumAndNumber = rows.getValue(channel.name).getOrPut(row) { DoubleArray(2) }
            sumAndNumber[0] += values[place]
            sumAndNumber[1] += 1.0
        }
        return null
    }

    /** Close strides until [last] are closed. */
    private fun close(last: Int) {
        if (last <= closed) return
        taken.values.forEach { times -> times.removeAll { it - start < last.toDouble() * stride } }
        while (closed < last) {
            val newest = contract.channels.associate { channel ->
                channel.name to FloatArray(channel.newest) {
                    val sum = rows.getValue(channel.name).remove(closed * channel.newest + it)
                    if (sum == null) channel.missing else (if (channel.isSum) sum[0] else sum[0] / sum[1]).toFloat()
                }
            }
            val motion = grid?.let { if (it.isEmpty) null else it.close(closed) }
            pending.add(Stride(start + closed.toDouble() * stride, newest, motion))
            closed++
        }
    }

    /**
     * Which stretch of [seconds], from the start, [t] (s since the start) lies in: a sample in [k, k + 1), a bin
     * ([isSum]) in (k, k + 1] with its end taken early. Corrected for rounding of the division.
     */
    private fun slotOf(t: Double, seconds: Int, isSum: Boolean): Int {
        val time = if (isSum) t - contract.grace else t
        var slot = if (isSum) ceil(time / seconds) - 1 else floor(time / seconds)
        if (slot * seconds > time || (isSum && slot * seconds == time)) slot -= 1.0
        val end = (slot + 1) * seconds
        if (end < time || (!isSum && end == time)) slot += 1.0
        return slot.toInt()
    }

    fun write(out: DataOutputStream) {
        out.writeDouble(start)
        out.writeInt(closed)
        out.writeBoolean(grid != null)
        grid?.write(out)
        for (channel in contract.channels) {
            val sums = rows.getValue(channel.name)
            out.writeInt(sums.size)
            for ((row, sumAndNumber) in sums) {
                out.writeInt(row)
                sumAndNumber.forEach { out.writeDouble(it) }
            }
        }
        for (sensor in Sensor.values()) {
            drops.getValue(sensor).forEach { out.writeInt(it) }
            out.writeInt(taken.getValue(sensor).size)
            taken.getValue(sensor).forEach { out.writeDouble(it) }
        }
        guards.values.forEach { it.write(out) }
        out.writeInt(pending.size)
        for (stride in pending) {
            out.writeDouble(stride.time)
            out.writeFloats(stride.motion ?: FloatArray(0))
            for (channel in contract.channels) out.writeFloats(stride.newest.getValue(channel.name))
        }
    }

    companion object {
        /** What `write` wrote. */
        fun read(contract: Contract, from: DataInputStream): Aligner {
            val aligner = Aligner(contract, from.readDouble())
            aligner.closed = from.readInt()
            aligner.grid = if (from.readBoolean()) MotionGrid(contract.counting!!, contract.stride).read(from) else null
            for (channel in contract.channels) {
                val sums = aligner.rows.getValue(channel.name)
                repeat(count(from)) { sums[from.readInt()] = DoubleArray(2) { from.readDouble() } }
            }
            for (sensor in Sensor.values()) {
                val drops = aligner.drops.getValue(sensor)
                for (i in drops.indices) drops[i] = from.readInt()
                aligner.taken.getValue(sensor).addAll(List(count(from)) { from.readDouble() })
            }
            aligner.guards.values.forEach { it.read(from) }
            repeat(count(from)) {
                val time = from.readDouble()
                val motion = from.readFloats(count(from))
                val newest = contract.channels.associate { channel ->
                    require(count(from) == channel.newest) { "values are missing" }
                    channel.name to from.readFloats(channel.newest)
                }
                aligner.pending.add(Stride(time, newest, if (motion.isEmpty()) null else motion))
            }
            return aligner
        }
    }
}

internal fun isFinite(x: Double) = !x.isNaN() && !x.isInfinite()

/** Their number, then the values. */
internal fun DataOutputStream.writeFloats(values: FloatArray) {
    writeInt(values.size)
    values.forEach { writeFloat(it) }
}

internal fun DataInputStream.readFloats(size: Int): FloatArray = FloatArray(size) { readFloat() }
