package dev.wristsleep

import java.security.MessageDigest
import kotlin.math.abs

internal const val CONTRACT_FILE = "contract.json"
private const val FORMAT = "wristsleep-contract/1"

/** s, how early the end of a bin is taken; and the bin of an activity count. */
private const val GRACE = 0.1
private const val BIN = 15

/** Tolerance of the sum of an operating point's weights, which is 1. */
private const val WEIGHTS_ROUNDING = 3e-4

/** How contract.json ends. */
private val DIGEST = Regex("\"digest\"\\s*:\\s*\"([0-9a-f]{64})\"\\s*\\}\\s*$")
private val DIGEST_NAME = Regex("\"digest\"\\s*:", RegexOption.IGNORE_CASE)
private val LAST_TEXT = Regex("\"\\s*\\}\\s*$")

internal fun sha256(content: ByteArray): String =
    MessageDigest.getInstance("SHA-256").digest(content).joinToString("") { "%02x".format(it) }

/** A channel has [values] per window, each over [seconds]: the sum or the mean of the samples, or [missing]. */
internal class Channel(field: Field, row: Int, window: Int, stride: Int) {
    val name: String = field["name"].text()
    private val sensor: Sensor =
        Sensor.values().find { name in it.channels } ?: field["name"].wrong("'$name': no such channel")
    val seconds: Int = field["seconds_per_value"].constant(if (name == "activity") maxOf(BIN, row) else row).toInt()
    val values: Int = field["values_per_window"].constant(window.toDouble() / seconds).toInt()
    val missing: Float = field["missing"].constant(sensor.missing).toFloat()
    val isSum: Boolean = isSum(field, sensor)

    /** Number of values that are new in a window. */
    val newest: Int = stride / seconds
}

/** Samples outside [low]..[high] are dropped. [isSum]: they are bins, fed at their end. */
internal class SensorEntry(field: Field, sensor: Sensor, all: List<Channel>) {
    val low: Double
    val high: Double
    val isSum: Boolean = isSum(field, sensor)

    /** The model's channels that it fills, each with its place among the sensor's values. */
    val channels: List<Pair<Channel, Int>>

    init {
        val range = field["range"].constants(sensor.low, sensor.high)
        low = range[0]
        high = range[1]
        val names = field["channels"].list().map { it.text() }
        if (names != sensor.channels) field["channels"].wrong("$names: expected ${sensor.channels}")
        channels = all.filter { it.name in names }.map { it to names.indexOf(it.name) }
    }
}

private fun isSum(field: Field, sensor: Sensor): Boolean {
    val value = field["value"]
    val expected = if (sensor.isSum) "sum" else "mean"
    if (value.text() != expected) value.wrong("'${value.text()}': expected $expected")
    return sensor.isSum
}

/** A float32 tensor. [link]: where an input comes from, or what an output becomes; "" for nothing. [size]: values. */
internal class Tensor(field: Field, link: String) {
    val name: String = field["name"].text()
    val link: String = field.find(link)?.text() ?: ""
    val shape: List<Int> = field["shape"].shape()
    val size: Int = shape.fold(1) { a, b -> a * b }

    init {
        val type = field["dtype"]
        if (type.text() != "float32") type.wrong("'${type.text()}': expected float32")
    }
}

internal class Call(field: Field) {
    val file: String = field["file"].text()
    val sha256: String = field["sha256"].text()
    val signature: String = field["signature"].text()
    val inputs: List<Tensor> = field["inputs"].list().map { Tensor(it, "from") }
    val outputs: List<Tensor> = field["outputs"].list().map { Tensor(it, "to") }

    /** Status of the file by runtime. */
    val runtimes: Map<String, String> = field.find("runtimes")?.entries()?.mapValues { it.value.text() } ?: emptyMap()

    init {
        if (file in setOf("", ".", "..") || file.any { it in "/\\" }) {
            field["file"].wrong("'$file': expected a name in the bundle, not a path")
        }
    }
}

/** Calls in their order, and the values with which their states begin: 0, or those of [initial], by name. */
internal class Plan(field: Field, sources: Map<String, Int>, initial: Map<String, Int> = emptyMap()) {
    val calls: List<Call> = field["calls"].list().map { Call(it) }
    val states: Map<String, FloatArray> = field["states"].entries().mapValues { (name, state) ->
        val first = state["initial"].constant(initial[name] ?: 0).toFloat()
        FloatArray(state["shape"].shape().fold(1) { a, b -> a * b }) { first }
    }

    /** Sizes of all tensors after the last call, by link. */
    val sizes: Map<String, Int> = HashMap(sources).also { sizes ->
        states.forEach { (name, values) -> sizes["state:$name"] = values.size }
        calls.forEachIndexed { i, call ->
            for (tensor in call.inputs) if (sizes[tensor.link] != tensor.size) {
                field["calls"].list()[i]["inputs"].wrong(
                    "${tensor.name}: takes ${tensor.size} values of '${tensor.link}', which has ${sizes[tensor.link]}"
                )
            }
            for (tensor in call.outputs) sizes["output:${tensor.name}"] = tensor.size
        }
        for (tensor in calls.flatMap { it.outputs }) when {
            tensor.link.startsWith("channel:") -> sizes[tensor.link] = tensor.size
            tensor.link != "" && sizes[tensor.link] != tensor.size ->
                field["calls"].wrong("output ${tensor.name} does not fit '${tensor.link}'")
        }
        val renewed = calls.flatMap { it.outputs }.map { it.link }
        states.keys.find { "state:$it" !in renewed }?.let { field["states"].wrong("no output becomes $it") }
    }
}

/** One precision of the network. [output]: link of its probabilities. */
internal class Precision(field: Field, channels: List<Channel>) {
    val plan = Plan(field, channels.associate { "channel:${it.name}" to it.values })
    val output: String = "output:${field["probabilities"].text()}"

    init {
        if (plan.sizes[output] != Stage.SCORED.size) {
            field["probabilities"].wrong("expected an output of ${Stage.SCORED.size} values")
        }
    }
}

/** How activity counts are computed from raw motion on a regular grid. Times in s. */
internal class MotionCounting(field: Field, stride: Int, channels: List<Channel>) {
    val hz: Int = field["hz"].constant(50).toInt()
    val missing: Float = field["missing"].constant(Sensor.MOTION.missing).toFloat()
    val grace: Double = field["grace_seconds"].constant(GRACE)
    val gap: Double = field["gap_seconds"].constant(1)
    val bin: Int = field["bin_seconds"].constant(BIN).toInt()

    /** How much motion one call takes. */
    val callSeconds: Int = field.find("call_seconds")?.size() ?: stride
    val plan = Plan(field, mapOf("sensor:motion" to 3 * hz * callSeconds), mapOf("newest" to Sensor.MOTION.missing))

    init {
        val expected = channels.find { it.name == "activity" }?.newest ?: field.wrong("the model has no such channel")
        val calls = stride / callSeconds
        if (stride % callSeconds > 0 || plan.sizes["channel:activity"]?.toLong()?.times(calls) != expected.toLong()) {
            field.wrong("calls of $callSeconds s do not give the $expected values of a stride of $stride s")
        }
    }
}

/** When the stage is unknown, and how far coverage looks back. Times in s. */
internal class UnknownRule(field: Field) {
    val absent: Int = field["absent_seconds"].constant(300).toInt()
    val offWrist: Int = field["off_wrist_seconds"].constant(1800).toInt()
    val offWristBlind: Int = field["off_wrist_blind_seconds"].constant(7200).toInt()
    val coverage: Int = field["coverage_seconds"].constant(600).toInt()
}

/** How units are checked. [first]: s of a sensor's samples on which the check is decided. */
internal class GuardRule(field: Field) {
    val first: Int = field["first_seconds"].constant(60).toInt()
    val leastSamples: Int = field["least_samples"].constant(25).toInt()
    val gravity: ClosedFloatingPointRange<Double> = field["gravity_g"].constants(0.5, 2).let { it[0]..it[1] }
    val standardGravity: Double = field["standard_gravity"].constant(9.80665)
}

/** contract.json: what this library needs of it. Times in s. */
internal class Contract private constructor(field: Field) {
    val simulated: Boolean = field["training_data"]["simulated"].boolean()
    val stride: Int = field["seconds"]["stride"].size()
    val grace: Double = field["grace_seconds"].constant(GRACE)
    val longest: Double = field["longest_seconds"].constant(93600)
    val channels: List<Channel> = field["channels"].list().map {
        Channel(it, field["seconds"]["row"].size(), field["seconds"]["window"].size(), stride)
    }
    val sensors: Map<Sensor, SensorEntry> =
        Sensor.values().associate { it to SensorEntry(field["sensors"][it.id], it, channels) }
    val unknown = UnknownRule(field["unknown"])
    val guard = GuardRule(field["input_guard"])
    val operatingPoints: Map<String, FloatArray> =
        field.find("operating_points")?.entries()?.mapValues { weights(it.value["weights"]) } ?: emptyMap()
    val counting: MotionCounting? =
        field["preprocessing"].entries()["activity"]?.let { MotionCounting(it, stride, channels) }
    val precisions: Map<String, Precision> =
        field["precisions"].entries().mapValues { Precision(it.value, channels) }

    init {
        if (channels.distinctBy { it.name }.size < channels.size) field["channels"].wrong("one is there twice")
        val others = field["preprocessing"].entries().filterKeys { it != "activity" }
        others.values.firstOrNull()?.wrong("expected activity only")
        channels.forEachIndexed { i, channel ->
            val newest = channel.newest
            val window = field["seconds"]["window"].size()
            val whole = stride % channel.seconds == 0 && window % channel.seconds == 0
            if (newest < 1 || channel.values < newest || !whole) {
                field["channels"].list()[i].wrong("its values do not fit a stride of $stride s")
            }
        }
    }

    private fun weights(field: Field): FloatArray {
        val weights = field.list()
        val numbers = weights.map { it.double() }
        if (numbers.size != Stage.SCORED.size || numbers.any { it <= 0 } || abs(numbers.sum() - 1) > WEIGHTS_ROUNDING) {
            field.wrong("expected ${Stage.SCORED.size} numbers above 0 that sum to 1")
        }
        return FloatArray(weights.size) { weights[it].float() }
    }

    companion object {
        /**
         * A contract of the bytes of its file.
         *
         * @param expected its SHA-256 in hex, or null for any.
         * @throws StagerException ALTERED_CONTRACT, UNSUPPORTED_CONTRACT.
         */
        fun read(content: ByteArray, expected: String?): Contract {
            val digest = sha256(content)
            if (expected != null && !expected.equals(digest, ignoreCase = true)) {
                fail(ErrorCode.ALTERED_CONTRACT, "$CONTRACT_FILE: SHA-256 is $digest, expected $expected")
            }
            val text = String(content, Charsets.UTF_8)
            if (isAltered(text)) {
                fail(ErrorCode.ALTERED_CONTRACT, "$CONTRACT_FILE: altered; its SHA-256 is not the one at its end")
            }
            val document = try {
                Json.read(text)
            } catch (error: IllegalArgumentException) {
                fail(ErrorCode.UNSUPPORTED_CONTRACT, "$CONTRACT_FILE: not JSON: ${error.message}", error)
            }
            val field = Field("", document)
            val format = field["format"]
            if (format.text() != FORMAT) format.wrong("'${format.text()}': expected $FORMAT")
            checkStages(field["stages"])
            return Contract(field)
        }

        /**
         * Whether the text differs from its digest, the SHA-256 of the text with 64 zeros in its place. It is the last
         * entry and the only one of this name; earlier contracts have no such name, nor text as their last value.
         */
        private fun isAltered(text: String): Boolean {
            val names = DIGEST_NAME.findAll(text).count()
            val digest = DIGEST.find(text)?.groups?.get(1)
            if (digest == null || names > 1) return names > 0 || LAST_TEXT.containsMatchIn(text)
            return sha256(text.replaceRange(digest.range, "0".repeat(64)).toByteArray()) != digest.value
        }

        private fun checkStages(field: Field) {
            val found = field.list().map {
                Triple(it["name"].text(), it["healthkit"].size(), it["health_connect"].size())
            }
            val expected = Stage.SCORED.map { Triple(it.label, it.healthKit, it.healthConnect) }
            if (found != expected) {
                field.wrong("expected ${expected.joinToString { (name, a, b) -> "$name ($a, $b)" }}, in this order")
            }
        }
    }
}
