package dev.wristsleep

import java.security.MessageDigest

internal const val CONTRACT_FILE = "contract.json"
private const val FORMAT = "wristsleep-contract/1"

internal fun sha256(content: ByteArray): String =
    MessageDigest.getInstance("SHA-256").digest(content).joinToString("") { "%02x".format(it) }

/** A channel has [values] per window, each over [seconds]: the sum or the mean of what was sensed, or [missing]. */
internal class Channel(field: Field, stride: Int) {
    val name: String = field["name"].text()
    val values: Int = field["values_per_window"].size()
    val seconds: Int = field["seconds_per_value"].size()
    val missing: Float = field["missing"].float()
    val isSum: Boolean = isSum(field)

    /** How many values are new in a window. */
    val newest: Int = stride / seconds
}

/** Samples outside [low]..[high] count as not sensed. [isSum]: they are bins, fed at their end. */
internal class SensorEntry(field: Field, all: List<Channel>) {
    val low: Double
    val high: Double
    val isSum: Boolean = isSum(field)

    /** The model's channels that it fills, each with its place among the sensor's values. */
    val channels: List<Pair<Channel, Int>>

    init {
        val range = field["range"].list()
        if (range.size != 2) field["range"].wrong("expected least and greatest value")
        low = range[0].double()
        high = range[1].double()
        val names = field["channels"].list().map { it.text() }
        channels = all.filter { it.name in names }.map { it to names.indexOf(it.name) }
    }
}

private fun isSum(field: Field): Boolean {
    val value = field["value"]
    if (value.text() !in listOf("sum", "mean")) value.wrong("'${value.text()}': expected sum or mean")
    return value.text() == "sum"
}

/** [link]: where an input comes from, or what an output becomes; "" for nothing. [size]: values. */
internal class Tensor(field: Field, link: String) {
    val name: String = field["name"].text()
    val link: String = field.find(link)?.text() ?: ""
    val size: Int = field["shape"].list().fold(1) { a, b -> a * b.size() }

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
        if (Regex("[^/\\\\]+").matchEntire(file) == null || file.startsWith("..")) {
            field["file"].wrong("'$file': expected a name in the bundle, not a path")
        }
    }
}

/** Calls in their order, and the values with which their states begin. */
internal class Plan(field: Field, sources: Map<String, Int>) {
    val calls: List<Call> = field["calls"].list().map { Call(it) }
    val states: Map<String, FloatArray> = field["states"].entries().mapValues { (_, state) ->
        val size = state["shape"].list().fold(1) { a, b -> a * b.size() }
        val initial = state["initial"].numbers()
        if (initial.isEmpty() || size % initial.size > 0) state["initial"].wrong("expected $size numbers, or one")
        FloatArray(size) { initial[it % initial.size].toFloat() }
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

/** How activity counts are made of raw motion on an even grid. Times in s. */
internal class MotionCounting(field: Field, stride: Int, channels: List<Channel>) {
    val hz: Int = field["hz"].size()
    val missing: Float = field["missing"].float()
    val grace: Double = field["grace_seconds"].double()
    val gap: Double = field["gap_seconds"].double()
    val bin: Int = field["bin_seconds"].size()

    /** How much motion one call takes. */
    val callSeconds: Int = field.find("call_seconds")?.size() ?: stride
    val plan = Plan(field, mapOf("sensor:motion" to 3 * hz * callSeconds))

    init {
        val expected = channels.find { it.name == "activity" }?.newest ?: field.wrong("the model has no such channel")
        val calls = stride / callSeconds
        if (stride % callSeconds > 0 || plan.sizes["channel:activity"]?.times(calls) != expected) {
            field.wrong("calls of $callSeconds s do not give the $expected values of a stride of $stride s")
        }
    }
}

/** When no stage is given, and how far coverage looks back. Times in s. */
internal class UnknownRule(field: Field) {
    val absent: Int = field["absent_seconds"].size()
    val offWrist: Int = field["off_wrist_seconds"].size()
    val offWristBlind: Int = field["off_wrist_blind_seconds"].size()
    val coverage: Int = field["coverage_seconds"].size()
}

/** How units are checked. [first]: s of a sensor's samples that decide. */
internal class GuardRule(field: Field) {
    val first: Int = field["first_seconds"].size()
    val leastSamples: Int = field["least_samples"].size()
    val gravity: ClosedFloatingPointRange<Double>
    val standardGravity: Double = field["standard_gravity"].double()

    init {
        val range = field["gravity_g"].list()
        if (range.size != 2) field["gravity_g"].wrong("expected least and greatest value")
        gravity = range[0].double()..range[1].double()
    }
}

/** contract.json: what this library needs of it. Times in s. */
internal class Contract private constructor(field: Field) {
    val simulated: Boolean = field["training_data"]["simulated"].boolean()
    val stride: Int = field["seconds"]["stride"].size()
    val grace: Double = field["grace_seconds"].double()
    val longest: Double = field["longest_seconds"].double()
    val channels: List<Channel> = field["channels"].list().map { Channel(it, stride) }
    val sensors: Map<Sensor, SensorEntry> =
        Sensor.values().associate { it to SensorEntry(field["sensors"][it.id], channels) }
    val unknown = UnknownRule(field["unknown"])
    val guard = GuardRule(field["input_guard"])
    val operatingPoints: Map<String, FloatArray> =
        field.find("operating_points")?.entries()?.mapValues { weights(it.value["weights"]) } ?: emptyMap()
    val counting: MotionCounting? =
        field.find("preprocessing")?.find("activity")?.let { MotionCounting(it, stride, channels) }
    val precisions: Map<String, Precision> =
        field["precisions"].entries().mapValues { Precision(it.value, channels) }

    init {
        channels.forEachIndexed { i, channel ->
            val newest = channel.newest
            if (newest < 1 || channel.values < newest || stride % channel.seconds > 0) {
                field["channels"].list()[i].wrong("its values do not fit a stride of $stride s")
            }
        }
    }

    private fun weights(field: Field): FloatArray {
        val weights = field.list()
        if (weights.size != Stage.SCORED.size) field.wrong("expected ${Stage.SCORED.size} numbers")
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
            val document = try {
                Json.read(String(content, Charsets.UTF_8))
            } catch (error: IllegalArgumentException) {
                fail(ErrorCode.UNSUPPORTED_CONTRACT, "$CONTRACT_FILE: not JSON: ${error.message}", error)
            }
            val field = Field("", document)
            val format = field["format"]
            if (format.text() != FORMAT) format.wrong("'${format.text()}': expected $FORMAT")
            checkStages(field["stages"])
            return Contract(field)
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
