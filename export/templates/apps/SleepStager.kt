/*
 * Sleep stages from a wrist's heart rate and movement, live, on Android and Wear OS.
 *
 *     val stager = SleepStager({ assets.open("bundle/$it").readBytes() }, precision = "int8", start = 1767999600.0)
 *     stager.feed("heart_rate", 1767999603.2, 61.0)
 *     for (epoch in stager.take(1767999630.1)) println("${epoch.time} ${epoch.stage}")
 *
 * Written for one bundle: the constants are those of its contract.json. README.md of the bundle has the rest.
 * Needs LiteRT (com.google.ai.edge.litert:litert 1.x) and java.time (Android 8, or desugaring). Kotlin 1.3 or later.
 */
package wristsleep

import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.DataInputStream
import java.io.DataOutputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.security.MessageDigest
import java.time.Instant
import java.time.ZoneId
import java.time.ZoneOffset
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sqrt
import org.tensorflow.lite.Interpreter

class Stage(val name: String, val healthKit: Int, val healthConnect: Int)

/** A channel has [values] per window, each over [seconds]: the sum or the mean of what was sensed, or [missing]. */
class Channel(
    val name: String, val unit: String, val values: Int, val seconds: Int, val missing: Float, val isSum: Boolean
) {
    /** How many values are new in a window. */
    val newest get() = Contract.STRIDE / seconds

    fun nothing() = FloatArray(values) { missing }
}

/** Samples outside [low]..[high] count as not sensed. */
class Sensor(val low: Double, val high: Double, val channels: List<String>)

/** [link]: where an input comes from, or what an output becomes; "" for nothing. */
class Tensor(val name: String, val link: String, vararg val shape: Int) {
    val size get() = shape.fold(1) { a, b -> a * b }
}

class Call(
    val file: String, val sha256: String, val signature: String, val inputs: List<Tensor>, val outputs: List<Tensor>
)

/** [initial]: its values at the start of a night, one number if all are alike. */
class State(val name: String, val initial: FloatArray, vararg val shape: Int) {
    fun atStart() = FloatArray(shape.fold(1) { a, b -> a * b }) { initial[it % initial.size] }
}

class Plan(val calls: List<Call>, val states: List<State>, val probabilities: String)

// constants of the contract: begin
object Contract
// constants of the contract: end

/** The stage of one stride. [time]: s, when it begins. [probabilities]: in the order of Contract.STAGES. */
class Epoch(val time: Double, val stage: String, val probabilities: FloatArray)

/** A run of one value of a health store, and the zone's offset at its start and end. [stage]: the name of [value]. */
data class Segment(
    val start: Instant, val startOffset: ZoneOffset, val end: Instant, val endOffset: ZoneOffset,
    val stage: String, val value: Int
)

/**
 * Takes samples of one night in time order, gives its stages.
 *
 * Times are in seconds of any one clock: Unix time, or since the start of the recording. A sensor that is silent,
 * absent, late or out of range is a missing value, and the night goes on.
 *
 * @param read the bytes of a file of the bundle.
 * @param precision one of Contract.PRECISIONS.
 * @param start s, when the first window begins.
 * @param operatingPoint one of Contract.OPERATING_POINTS, to weigh the probabilities; null leaves them as they are.
 * @param options of the runtime.
 * @throws IllegalArgumentException for a file that is not the one that the contract describes.
 */
class SleepStager(
    read: (String) -> ByteArray,
    precision: String = "int8",
    private var start: Double = 0.0,
    operatingPoint: String? = null,
    options: Interpreter.Options = Interpreter.Options().setNumThreads(1)
) : AutoCloseable {
    private class Stride(val time: Double, val newest: MutableMap<String, FloatArray>, val motion: FloatArray?)

    private val plan = oneOf("precision", precision, Contract.PRECISIONS)
    private val weights = operatingPoint?.let { oneOf("operating point", it, Contract.OPERATING_POINTS) }
    private val calls = Contract.ACTIVITY.calls + plan.calls
    private val interpreters = calls.associate { it.file to Interpreter(checked(it, read(it.file)), options) }

    private var closed = 0 // windows closed so far
    private var rows = mapOf<String, MutableMap<Int, DoubleArray>>() // row, from the start -> sum, number of samples
    private var recent = mapOf<String, FloatArray>() // channel -> values of the newest window
    private var samples = ArrayList<DoubleArray>() // motion that the activity call has still to see: t, x, y, z
    private var counting = true // activity comes from motion, until counts are fed
    private var pending = ArrayList<Stride>() // strides closed and not yet taken
    private var states = mapOf<String, FloatArray>()

    init {
        reset(start)
    }

    /** Before a night that begins at [start] (s). */
    @Synchronized
    fun reset(start: Double = this.start) {
        this.start = start
        closed = 0
        rows = Contract.CHANNELS.associate { it.name to HashMap<Int, DoubleArray>() }
        recent = Contract.CHANNELS.associate { it.name to it.nothing() }
        samples = ArrayList()
        counting = Contract.ACTIVITY.calls.isNotEmpty()
        pending = ArrayList()
        states = (Contract.ACTIVITY.states + plan.states).associate { it.name to it.atStart() }
    }

    /**
     * Take one sample: "heart_rate" (bpm), "motion" (x, y, z in g), and, with the time at which their bin ends, "steps"
     * and "activity" (counts). [t]: s.
     *
     * Feed all sensors in the order of time: an event closes the windows that it lies past, and what comes for a closed
     * window is too late.
     *
     * @throws IllegalArgumentException for another sensor, and for a [t] more than a night after the start.
     */
    @Synchronized
    fun feed(sensor: String, t: Double, vararg value: Double) {
        val known = oneOf("sensor", sensor, Contract.SENSORS)
        if (t.isNaN() || t.isInfinite()) return
        checkTime(t)
        require(value.size == (if (sensor == "motion") 3 else 1)) { "$sensor: ${value.size} values" }
        if (value.all { known.low <= it && it <= known.high }) {
            var values = value
            if (sensor == "motion") {
                val last = if (samples.isEmpty()) Double.NEGATIVE_INFINITY else samples.last()[0]
                val timely = t >= start + closed * Contract.STRIDE && t >= last
                if (counting && timely) samples.add(doubleArrayOf(t) + value)
                values += sqrt(value[0] * value[0] + value[1] * value[1] + value[2] * value[2])
            } else if (sensor == "activity") {
                counting = false
                samples.clear()
            }
            for (channel in Contract.CHANNELS) {
                val i = known.channels.indexOf(channel.name)
                if (i >= 0) add(channel, t - start, values[i])
            }
        }
        closeWindows((ceil((t - Contract.GRACE - start) / Contract.STRIDE) - 1).toInt())
    }

    /** Add a value at [t] (s since the start) to its row. */
    private fun add(channel: Channel, t: Double, value: Double) {
        val bin = ceil((t - Contract.GRACE) / channel.seconds) - 1
        val row = (if (channel.isSum) bin else floor(t / channel.seconds)).toInt()
        if (row < closed * channel.newest) return // too late
        val held = rows.getValue(channel.name).getOrPut(row) { DoubleArray(2) }
        held[0] += value
        held[1] += 1.0
    }

    /** Close windows until [last] of them are closed. */
    private fun closeWindows(last: Int) {
        while (closed < last) {
            val newest = HashMap<String, FloatArray>()
            for (channel in Contract.CHANNELS) {
                newest[channel.name] = FloatArray(channel.newest) {
                    val held = rows.getValue(channel.name).remove(closed * channel.newest + it)
                    if (held == null) channel.missing else (if (channel.isSum) held[0] else held[0] / held[1]).toFloat()
                }
            }
            pending.add(Stride(start + closed * Contract.STRIDE, newest, if (samples.isEmpty()) null else grid()))
            closed++
        }
    }

    /** Acceleration of the stride that closes, on the even grid that the activity call wants: x, y, z of each point. */
    private fun grid(): FloatArray {
        val points = Contract.HZ * Contract.STRIDE
        val motion = FloatArray(3 * points) { Contract.MOTION_MISSING }
        var after = 0 // the first sample at or after the point
        for (i in 0..points) {
            val point = closed * points + i
            val t = start + point.toDouble() / Contract.HZ
            while (after < samples.size && samples[after][0] < t) after++
            if (i == points || after == 0) continue
            val before = samples[after - 1]
            val next = if (after < samples.size) samples[after] else null
            val bin = point / (Contract.HZ * Contract.BIN)
            val due = start + Contract.MOTION_GRACE + Contract.BIN * (bin + 1)
            if (min(next?.get(0) ?: due, due) - before[0] > Contract.MOTION_GAP) continue
            for (k in 1..3) {
                val value = if (next == null || next[0] > due) before[k] else
                    before[k] + (next[k] - before[k]) * ((t - before[0]) / (next[0] - before[0]))
                motion[3 * i + k - 1] = value.toFloat()
            }
        }
        samples.subList(0, max(after - 1, 0)).clear() // the next stride needs the last one before it, and those after
        return motion
    }

    /**
     * Epochs of the windows that are full. [now]: s, a time up to which every sensor has told what it has; null for the
     * windows that events have closed.
     */
    @Synchronized
    fun take(now: Double? = null): List<Epoch> {
        if (now != null) {
            checkTime(now)
            closeWindows(floor((now - start) / Contract.STRIDE).toInt())
        }
        val epochs = ArrayList<Epoch>()
        while (pending.isNotEmpty()) {
            val stride = pending.removeAt(0)
            if (stride.motion != null) {
                val made = run(Contract.ACTIVITY, mapOf("sensor:motion" to stride.motion))
                stride.newest["activity"] = made.getValue("channel:activity")
            }
            recent = recent.mapValues { (name, values) ->
                val newest = stride.newest.getValue(name)
                values.copyOfRange(newest.size, values.size) + newest
            }
            val probabilities = weighed(step(recent))
            var best = 0
            for (i in probabilities.indices) if (probabilities[i] > probabilities[best]) best = i
            epochs.add(Epoch(stride.time, Contract.STAGES[best].name, probabilities))
        }
        return epochs
    }

    /** One window by hand, values by channel as in golden.json. Gives the probabilities as the model says them. */
    @Synchronized
    fun step(window: Map<String, FloatArray>): FloatArray {
        val known = Contract.CHANNELS.associate { "channel:${it.name}" to window.getValue(it.name) }
        return run(plan, known).getValue("output:${plan.probabilities}")
    }

    /** Make the calls of a plan in order, keep their states. Gives [known] with the tensors that the calls made. */
    private fun run(plan: Plan, known: Map<String, FloatArray>): Map<String, FloatArray> {
        val tensors = HashMap(known)
        val made = HashMap<String, FloatArray>()
        states.forEach { (name, values) -> tensors["state:$name"] = values }
        for (call in plan.calls) {
            val inputs = HashMap<String, Any>()
            for (tensor in call.inputs) {
                val values = tensors.getValue(tensor.link)
                require(values.size == tensor.size) { "${tensor.link}: ${values.size} values, not ${tensor.size}" }
                inputs[tensor.name] = FloatBuffer.wrap(values)
            }
            val outputs = HashMap<String, Any>()
            for (tensor in call.outputs) outputs[tensor.name] = FloatBuffer.allocate(tensor.size)
            interpreters.getValue(call.file).runSignature(inputs, outputs, call.signature)
            for (tensor in call.outputs) {
                val values = (outputs.getValue(tensor.name) as FloatBuffer).array()
                tensors["output:${tensor.name}"] = values
                if (tensor.link != "") made[tensor.link] = values
            }
        }
        states = states.mapValues { (name, values) -> made["state:$name"] ?: values }
        return tensors + made
    }

    private fun weighed(probabilities: FloatArray): FloatArray {
        if (weights == null) return probabilities
        val weighed = FloatArray(probabilities.size) { probabilities[it] * weights[it] }
        val sum = weighed.sum()
        return FloatArray(weighed.size) { weighed[it] / sum }
    }

    private fun checkTime(t: Double) {
        require(t - start <= Contract.LONGEST) { "t=$t s: more than a night after start=$start s; reset for a new one" }
    }

    /** All that is under way, for [restore]. */
    @Synchronized
    fun save(): ByteArray {
        val bytes = ByteArrayOutputStream()
        val out = DataOutputStream(bytes)
        fun write(values: FloatArray) {
            out.writeInt(values.size)
            values.forEach { out.writeFloat(it) }
        }
        out.writeUTF(model())
        out.writeDouble(start)
        out.writeInt(closed)
        out.writeBoolean(counting)
        out.writeInt(samples.size)
        samples.forEach { sample -> sample.forEach { out.writeDouble(it) } }
        out.writeInt(pending.size)
        for (stride in pending) {
            out.writeDouble(stride.time)
            write(stride.motion ?: FloatArray(0))
            for (channel in Contract.CHANNELS) write(stride.newest.getValue(channel.name))
        }
        for (channel in Contract.CHANNELS) {
            write(recent.getValue(channel.name))
            val held = rows.getValue(channel.name)
            out.writeInt(held.size)
            for ((row, sumAndNumber) in held) {
                out.writeInt(row)
                sumAndNumber.forEach { out.writeDouble(it) }
            }
        }
        states.toSortedMap().values.forEach { write(it) }
        return bytes.toByteArray()
    }

    /**
     * Go on as if the stager that saved these bytes had never stopped.
     *
     * @throws IllegalArgumentException, and changes nothing, where another model saved them.
     */
    @Synchronized
    fun restore(saved: ByteArray) {
        val from = DataInputStream(ByteArrayInputStream(saved))
        fun read(): FloatArray = FloatArray(count(from)) { from.readFloat() }
        fun read(size: Int): FloatArray = read().also { require(it.size == size) { "values are missing" } }
        try {
            require(from.readUTF() == model()) { "of another model" }
            val (start, closed, counting) = Triple(from.readDouble(), from.readInt(), from.readBoolean())
            val samples = (0 until count(from)).map { DoubleArray(4) { from.readDouble() } }
            val pending = (0 until count(from)).map {
                val time = from.readDouble()
                val motion = read()
                val newest = Contract.CHANNELS.associate { it.name to read(it.newest) }
                Stride(time, newest.toMutableMap(), if (motion.isEmpty()) null else motion)
            }
            val recent = HashMap<String, FloatArray>()
            val rows = HashMap<String, MutableMap<Int, DoubleArray>>()
            for (channel in Contract.CHANNELS) {
                recent[channel.name] = read(channel.values)
                val held = (0 until count(from)).associate { from.readInt() to DoubleArray(2) { from.readDouble() } }
                rows[channel.name] = held.toMutableMap()
            }
            val states = states.toSortedMap().mapValues { (_, values) -> read(values.size) }
            require(from.available() == 0) { "too long" }
            this.start = start
            this.closed = closed
            this.counting = counting
            this.samples = ArrayList(samples)
            this.pending = ArrayList(pending)
            this.recent = recent
            this.rows = rows
            this.states = states
        } catch (error: Exception) { // bytes can be wrong in many ways
            throw IllegalArgumentException("not a state that this model saved (${error.message})", error)
        }
    }

    private fun count(from: DataInputStream) =
        from.readInt().also { require(it in 0..from.available()) { "values are missing" } }

    /** What a saved state belongs to: the files, by their digests. */
    private fun model() = calls.joinToString(" ") { it.sha256 }

    override fun close() = interpreters.values.forEach { it.close() }

    companion object {
        private val NAMES = mapOf( // value -> its name on the platform
            "healthkit" to mapOf(2 to "awake", 3 to "asleepCore", 4 to "asleepDeep", 5 to "asleepREM"),
            "health_connect" to mapOf(1 to "AWAKE", 4 to "LIGHT", 5 to "DEEP", 6 to "REM")
        )

        /**
         * Epochs as segments of a health store: runs of equal value merged, none overlapping.
         *
         * [platform]: "health_connect" or "healthkit"; stage and value are its. [origin]: Unix time of t=0, where times
         * count from the start of the recording.
         */
        fun segments(
            epochs: List<Epoch>, zone: ZoneId = ZoneId.systemDefault(), platform: String = "health_connect",
            origin: Double = 0.0
        ): List<Segment> {
            val names = oneOf("platform", platform, NAMES)
            val values = Contract.STAGES.associate {
                it.name to (if (platform == "healthkit") it.healthKit else it.healthConnect)
            }
            val segments = ArrayList<Segment>()
            for (epoch in epochs.sortedBy { it.time }) {
                val last = segments.lastOrNull()
                val begin = instant(origin + epoch.time)
                val start = if (last != null && last.end > begin) last.end else begin
                val end = instant(origin + epoch.time + Contract.STRIDE)
                val value = values.getValue(epoch.stage)
                if (start >= end) continue // told before
                val endOffset = zone.rules.getOffset(end)
                if (last != null && last.end == start && last.value == value) {
                    segments[segments.size - 1] = last.copy(end = end, endOffset = endOffset)
                } else {
                    val startOffset = zone.rules.getOffset(start)
                    segments.add(Segment(start, startOffset, end, endOffset, names.getValue(value), value))
                }
            }
            return segments
        }

        private fun instant(t: Double) = Instant.ofEpochMilli(floor(t * 1000 + 0.5).toLong())

        private fun <T : Any> oneOf(what: String, key: String, known: Map<String, T>): T =
            requireNotNull(known[key]) { "$what $key: one of ${known.keys.joinToString()} is wanted" }

        /** A model in the memory that the runtime wants. A damaged file can take the runtime down. */
        private fun checked(call: Call, content: ByteArray): ByteBuffer {
            val digest = MessageDigest.getInstance("SHA-256").digest(content).joinToString("") { "%02x".format(it) }
            require(digest == call.sha256) { "${call.file}: not the file that the contract describes" }
            val buffer = ByteBuffer.allocateDirect(content.size).order(ByteOrder.nativeOrder())
            buffer.put(content)
            buffer.rewind()
            return buffer
        }
    }
}
