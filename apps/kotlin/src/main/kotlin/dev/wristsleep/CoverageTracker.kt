package dev.wristsleep

import java.io.DataInputStream
import java.io.DataOutputStream
import kotlin.math.max
import kotlin.math.min

/** Computes the coverage of each window, and whether there are too few data to predict a stage. */
internal class CoverageTracker(contract: Contract) {
    private val rule = contract.unknown
    private val stride = contract.stride
    private val channels = contract.sensors.mapValues { (_, entry) -> entry.channels.map { it.first } }
        .filterValues { it.isNotEmpty() }
    private val recent = channels.mapValues { ArrayList<Boolean>() } // whether each of the newest strides has a value
    private val since = HashMap(channels.mapValues { NEVER }) // s, from the newest value to the end of the window
    private var still = NEVER // s since the last stride with movement
    private var elapsed = 0.0 // s of the night

    /** Of the newest window. */
    var unknown = false
        private set

    /** Coverage of the next window, values by channel. */
    fun update(window: Map<String, FloatArray>): Map<Sensor, SensorCoverage> {
        var moved = false
        elapsed += stride
        for ((sensor, entries) in channels) {
            var age = NEVER
            for (channel in entries) {
                val newest = window.getValue(channel.name).takeLast(channel.newest).asReversed()
                val i = newest.indexOfFirst { it != channel.missing }
                if (i >= 0) age = min(age, (i * channel.seconds).toDouble())
                if (channel.isSum && newest.any { it > 0 }) moved = true
            }
            val strides = recent.getValue(sensor)
            strides.add(age < NEVER)
            if (strides.size > max(1, rule.coverage / stride)) strides.removeAt(0)
            since[sensor] = if (age < NEVER) age else since.getValue(sensor) + stride
        }
        // acceleration alone cannot tell a still wrist from a table
        if (Sensor.ACTIVITY !in recent && recent[Sensor.MOTION]?.last() == true) moved = true
        still = if (moved) 0.0 else still + stride
        unknown = tooLittle()
        return recent.mapValues { (sensor, strides) ->
            SensorCoverage(strides.count { it } / strides.size.toDouble(), since.getValue(sensor).takeIf { it < NEVER })
        }
    }

    private fun tooLittle(): Boolean {
        val heart = since[Sensor.HEART_RATE] ?: NEVER
        if (heart < rule.absent) return false
        val movement = min(since[Sensor.MOTION] ?: NEVER, since[Sensor.ACTIVITY] ?: NEVER)
        val stillFor = if (heart < NEVER && still == NEVER) elapsed else still
        val offWrist = if (heart < NEVER) rule.offWrist else rule.offWristBlind
        return movement >= rule.absent || stillFor >= offWrist
    }

    fun write(out: DataOutputStream) {
        out.writeDouble(still)
        out.writeDouble(elapsed)
        for (sensor in channels.keys) {
            out.writeDouble(since.getValue(sensor))
            out.writeInt(recent.getValue(sensor).size)
            recent.getValue(sensor).forEach { out.writeBoolean(it) }
        }
    }

    fun read(from: DataInputStream): CoverageTracker {
        still = from.readDouble()
        elapsed = from.readDouble()
        for (sensor in channels.keys) {
            since[sensor] = from.readDouble()
            recent.getValue(sensor).addAll(List(count(from)) { from.readBoolean() })
        }
        return this
    }

    private companion object {
        val NEVER = Double.POSITIVE_INFINITY
    }
}
