/* What a vector cannot say: threads, Android's types, messages. Each is run by name, see Vectors.kt. */
package dev.wristsleep

import android.content.Context
import android.hardware.SensorEvent
import android.os.SystemClock
import com.example.sleep.firstStages
import java.io.File
import java.nio.ByteBuffer
import java.util.concurrent.Executors
import java.util.concurrent.Future
import java.util.concurrent.TimeUnit
import java.util.zip.CRC32
import kotlin.math.abs
import org.tensorflow.lite.Interpreter

private val BUNDLE = File(System.getenv("BUNDLE"))

/** The bundle, with its contract's text changed by [edit]. */
private fun stager(
    warn: (String) -> Unit = {}, sha256: String? = null, edit: (String) -> String = { it }
) = SleepStager({ name ->
    val content = File(BUNDLE, name).readBytes()
    if (name == CONTRACT_FILE) edit(String(content)).toByteArray() else content
}, contractSha256 = sha256, warn = warn)

private fun expect(what: String, holds: Boolean) {
    if (!holds) throw AssertionError(what)
}

private fun message(code: ErrorCode, work: () -> Unit): String {
    try {
        work()
    } catch (error: StagerException) {
        expect("expected $code, got ${error.code}: ${error.message}", error.code == code)
        return error.message!!
    }
    throw AssertionError("expected $code, got nothing")
}

private fun says(code: ErrorCode, expected: String, work: () -> Unit) {
    val message = message(code, work)
    expect("expected '$expected' in '$message'", expected in message)
}

private fun closeWaits() {
    val before = Interpreter.open
    val threads = Executors.newFixedThreadPool(3)
    repeat(5) {
        val stager = stager()
        val tasks = ArrayList<Future<*>>()
        fun until(work: () -> Unit) = tasks.add(threads.submit {
            try {
                while (true) work()
            } catch (closed: IllegalStateException) {
                expect("${closed.message}", closed.message == "this SleepStager is closed")
            }
        })
        var t = 0.0
        until {
            stager.feed(Sensor.HEART_RATE, t, 60.0)
            t = minOf(t + 0.5, 80_000.0)
        }
        until { stager.take() }
        Thread.sleep(50)
        stager.close()
        stager.close()
        tasks.forEach { it.get(20, TimeUnit.SECONDS) }
    }
    threads.shutdown()
    expect("${Interpreter.open - before} interpreters are open", Interpreter.open == before)
}

private fun failedOpeningFreesMemory() {
    val before = Interpreter.open
    val last = Contract.read(File(BUNDLE, CONTRACT_FILE).readBytes(), null)
        .precisions.getValue("int8").plan.calls.last().file
    says(ErrorCode.MISSING_FILE, last) {
        SleepStager({ if (it == last) throw java.io.FileNotFoundException(it) else File(BUNDLE, it).readBytes() })
    }
    expect("interpreters are open", Interpreter.open == before)
}

private fun event(type: Int, accuracy: Int, vararg values: Float) =
    SensorEvent(values, accuracy, android.hardware.Sensor(type), 90_000_000_000)

private fun sensorEvents() {
    val clock = NightClock(origin = 1.7e9)
    val motion = event(1, 3, 0f, 9.80665f, -19.6133f).toSample(clock)!!
    expect("sensor and time", motion.sensor == Sensor.MOTION && motion.t == 1.7e9 + 90)
    expect("g", motion.values.zip(listOf(0.0, -1.0, 2.0)).all { (a, b) -> abs(a - b) < 1e-6 })
    val pulse = event(21, 3, 61f).toSample(clock)!!
    expect("bpm", pulse.sensor == Sensor.HEART_RATE && pulse.values.toList() == listOf(61.0))
    expect("no contact", event(21, -1, 61f).toSample(clock) == null && event(21, 0, 61f).toSample(clock) == null)
    says(ErrorCode.UNKNOWN_SENSOR, "type 19") { event(19, 3, 1f).toSample(clock) }
    stager().use { stager ->
        stager.reset(1.7e9)
        stager.feed(event(21, 3, 61f), clock)
        stager.feed(event(21, -1, 61f), clock)
        stager.feed(event(21, 3, 300f), NightClock(1.7e9 + 1))
        expect("three windows", stager.take().size == 3)
        expect("fed", stager.dropped.getValue(Sensor.HEART_RATE).values.sum() == 1)
    }
}

private fun nightClock() {
    SystemClock.nanos = 5_000_000_000
    val clock = NightClock()
    expect("Unix time", abs(clock.now() - System.currentTimeMillis() / 1e3) < 5)
    val then = clock.now()
    SystemClock.nanos += 1_500_000_000
    expect("counts on", abs(clock.now() - then - 1.5) < 1e-6)
    expect("goes on in a later process", NightClock(clock.origin).now() == clock.now())
}

private fun assets() {
    val context = Context { name -> File(BUNDLE.parentFile, name).inputStream() }
    SleepStager.fromAssets(context, BUNDLE.name).close()
    says(ErrorCode.MISSING_FILE, CONTRACT_FILE) { SleepStager.fromAssets(context, "elsewhere") }
}

private fun firstStagesOfThePage() {
    val context = Context { name -> File(BUNDLE, name.removePrefix("bundle/")).inputStream() }
    val night = firstStages(context)
    expect("${night.size} epochs", night.size * night[0].seconds == 600 && night[0].time == 1767999600.0)
    expect("stages", night.all { it.stage != Stage.UNKNOWN && it.probabilities.size == 5 })
}

/** With a model that writes down what it is given (interpreters.py) in place of the activity call. */
private fun motionIsCountedInParts() {
    val text = File(BUNDLE, CONTRACT_FILE).readText()
    val counting = Contract.read(text.toByteArray(), null).counting!!
    expect("calls of ${counting.callSeconds} s", counting.callSeconds == 15)
    val call = counting.plan.calls.single()
    val shapes = call.outputs.joinToString { "\"${it.name}\": ${it.shape}" }
    fun side(tensors: List<Tensor>) = tensors.joinToString(",", "[", "]") {
        "{\"name\": \"${it.name}\", \"dtype\": \"float32\", \"shape\": ${it.shape}}"
    }
    val sides = "{\"inputs\": ${side(call.inputs)}, \"outputs\": ${side(call.outputs)}}"
    val model = ("{\"log\": \"parts.log\", \"outputs\": {$shapes}, " +
        "\"signatures\": {\"${call.signature}\": $sides}}").toByteArray()
    val contract = text.replace(call.sha256, sha256(model))
    SleepStager({ name ->
        when (name) {
            CONTRACT_FILE -> contract.toByteArray()
            call.file -> model
            else -> File(BUNDLE, name).readBytes()
        }
    }, warn = {}).use { stager ->
        for (i in 0 until 50 * 60) stager.feed(Sensor.MOTION, i / 50.0, 0.0, 0.0, 0.5 + i / 4000.0)
        expect("two windows", stager.take(60.0).size == 2)
    }
    val log = File(System.getenv("INTERPRETERS").split("\n")[2], "parts.log")
    val calls = log.readLines().map { Json.read(it) as Map<*, *> }
    expect("${calls.size} calls", calls.size == 4)
    calls.forEachIndexed { part, call ->
        val motion = call["motion"] as List<*>
        expect("${motion.size} values", motion.size == 3 * 750)
        for (i in listOf(1, 749)) { // nothing is before the first point of all
            val z = 0.5 + (750 * part + i) / 4000.0
            expect("part $part, point $i: ${motion[3 * i + 2]}", abs(motion[3 * i + 2] as Double - z) < 1e-6)
        }
        val history = (call["history"] as List<*>)[0] // value 0 of call n is n
        expect("state $history", history == part.toDouble())
    }
}

private fun simulatedIsSaidOnce() {
    for ((simulated, told) in listOf("true" to 1, "false" to 0)) {
        val warnings = ArrayList<String>()
        val edit = { text: String -> text.replace(Regex("\"simulated\": *\\w+"), "\"simulated\": $simulated") }
        stager({ warnings.add(it) }, edit = edit).use { stager ->
            stager.reset(0.0)
            expect("simulated", stager.simulated == (told == 1))
        }
        expect("$warnings", warnings.size == told && warnings.all { "say nothing about people" in it })
    }
}

private fun contractErrorsNameTheField() {
    fun wrong(expected: String, from: String, to: String) =
        says(ErrorCode.UNSUPPORTED_CONTRACT, expected) {
            stager {
                val changed = it.replaceFirst(Regex(from), to)
                expect("nothing to change for $expected", changed != it)
                changed
            }.close()
        }
    wrong("contract.json: format: 'wristsleep-contract/2'", "wristsleep-contract/1", "wristsleep-contract/2")
    wrong("contract.json: sensors.heart_rate: missing", "(\"sensors\": *\\{\\s*)\"heart_rate\"", "$1\"pulse\"")
    wrong("contract.json: unknown.absent_seconds: missing", "\"absent_seconds\"", "\"absent\"")
    wrong("contract.json: longest_seconds: expected a number, got 'x'", "(\"longest_seconds\": *)[0-9.]+", "$1\"x\"")
    wrong("contract.json: stages: expected Wake (2, 1)", "\"N1\"", "\"N9\"")
    wrong("contract.json: not JSON: expected", ",", ",,")
    wrong("inputs.0.dtype: 'int8': expected float32", "\"float32\"(?=[^}]*\"from\")", "\"int8\"")
}

/** Names, shapes and types, of files whose digests are right. */
private fun tensorsOfFilesAreThoseOfTheContract() {
    fun wrong(expected: String, from: String, to: String) =
        says(ErrorCode.UNSUPPORTED_CONTRACT, expected) {
            stager { text -> text.replaceFirst(Regex(from), to).also { expect("nothing to change", it != text) } }.close()
        }
    val before = Interpreter.open
    wrong("its signatures are [activity], contract.json promises [other]", "(\"signature\": *)\"activity\"", "$1\"other\"")
    wrong("activity.tflite: its inputs are", "(\"inputs\": *\\[\\s*\\{\\s*\"name\": *)\"\\w+\"", "$1\"other\"")
    wrong("activity.tflite: its inputs are", "(\"shape\": *\\[\\s*)1,(\\s*)750,(\\s*)3", "$1750,$21,$33")
    val text = File(BUNDLE, CONTRACT_FILE).readText()
    val call = Contract.read(text.toByteArray(), null).counting!!.plan.calls.single()
    fun side(tensors: List<Tensor>) = tensors.joinToString(",", "[", "]") {
        "{\"name\": \"${it.name}\", \"dtype\": \"int32\", \"shape\": ${it.shape}}"
    }
    val sides = "{\"inputs\": ${side(call.inputs)}, \"outputs\": ${side(call.outputs)}}"
    val model = "{\"signatures\": {\"${call.signature}\": $sides}}".toByteArray()
    says(ErrorCode.UNSUPPORTED_CONTRACT, "${call.inputs[0].name} INT32 ${call.inputs[0].shape}") {
        SleepStager({
            if (it == CONTRACT_FILE) text.replace(call.sha256, sha256(model)).toByteArray() else model
        })
    }
    expect("${Interpreter.open - before} interpreters are open", Interpreter.open == before)
}

private fun refusedRuntime() {
    fun with(status: String, runtime: String = "ai-edge-litert") = stager {
        it.replaceFirst(Regex("\"runtimes\": *\\{[^}]*\\},?"), "")
            .replaceFirst(Regex("(\"calls\": *\\[\\s*\\{)"), "$1\"runtimes\": {\"$runtime\": \"$status\"}, ")
    }
    says(ErrorCode.REFUSED_RUNTIME, "refused: computed wrongly") { with("refused: computed wrongly") }
    with("tested").close()
    with("refused: computed wrongly", "tflite-micro").close()
}

private fun jsonIsRead() {
    val text = "{\"a\": [1, -2.5e3, true, null], \"b\\u00e9\\n\": {\"\": \"\\\"x\\\\\"}, \"e\": [], \"o\": {}} "
    val expected = mapOf(
        "a" to listOf(1.0, -2500.0, true, null), "bé\n" to mapOf("" to "\"x\\"),
        "e" to listOf<Any>(), "o" to mapOf<String, Any>()
    )
    expect("${Json.read(text)}", Json.read(text) == expected)
    val wrong = listOf("", "{", "[1,]", "{\"a\" 1}", "[1] 2", "nul", "\"abc", "\"\\x\"", "\"\\u12\"", "-")
    for (each in wrong + "[".repeat(2000)) {
        val refused = try {
            Json.read(each).let { false }
        } catch (error: IllegalArgumentException) {
            "at character" in error.message!!
        }
        expect("'${each.take(10)}' was read", refused)
    }
}

private fun numbersAreRounded() {
    val texts = mapOf(
        rounded(9.79649, 3) to "9.8", rounded(0.0312, 3) to "0.0312", rounded(12.0, 3) to "12", rounded(0.0, 3) to "0",
        rounded(20.0, 6) to "20", rounded(-16.0, 6) to "-16", rounded(1000.4, 3) to "1e+03",
        rounded(0.00001234, 3) to "1.23e-05", rounded(100000.0, 6) to "100000"
    )
    for ((actual, expected) in texts) expect("$actual, not $expected", actual == expected)
}

private fun pinnedContract() {
    val digest = sha256(File(BUNDLE, CONTRACT_FILE).readBytes())
    stager(sha256 = digest.replace('a', 'A')).close()
    says(ErrorCode.ALTERED_CONTRACT, "expected $digest") { stager(sha256 = digest) { "$it " } }
}

private fun damagedStates() {
    stager().use { stager ->
        stager.feed(Sensor.HEART_RATE, 45.0, 60.0)
        val saved = stager.save()
        for (i in saved.indices step 7) {
            val damaged = saved.clone().also { it[i] = (it[i] + 1).toByte() }
            message(ErrorCode.WRONG_STATE) { stager.restore(damaged) }
        }
        message(ErrorCode.WRONG_STATE) { stager.restore(ByteArray(0)) }
        stager.restore(saved)
        expect("goes on", stager.take(60.0).size == 2)
    }
}

/** Before there were weights in it, a state ended with those of the model's states. */
private fun earlierStates() {
    stager().use { stager ->
        stager.feed(Sensor.HEART_RATE, 45.0, 60.0)
        val saved = stager.save()
        val content = saved.copyOf(saved.size - 8 - 4) // without the checksum and the number of weights, 0
        val checksum = CRC32().also { it.update(content) }.value
        stager.reset(1000.0)
        stager.restore(content + ByteBuffer.allocate(8).putLong(checksum).array())
        expect("goes on", stager.take(60.0).size == 2)
    }
}

val TESTS = mapOf<String, () -> Unit>(
    "close waits for calls under way" to ::closeWaits,
    "a failed opening frees memory" to ::failedOpeningFreesMemory,
    "sensor events are converted" to ::sensorEvents,
    "the night clock is not set" to ::nightClock,
    "a bundle is read from assets" to ::assets,
    "the page's first stages" to ::firstStagesOfThePage,
    "motion is counted in parts of a stride" to ::motionIsCountedInParts,
    "simulated is said once" to ::simulatedIsSaidOnce,
    "contract errors name the field" to ::contractErrorsNameTheField,
    "tensors of files are those of the contract" to ::tensorsOfFilesAreThoseOfTheContract,
    "a refused runtime is refused" to ::refusedRuntime,
    "JSON is read" to ::jsonIsRead,
    "numbers are rounded as in Python" to ::numbersAreRounded,
    "a pinned contract is the only one" to ::pinnedContract,
    "damaged states are refused" to ::damagedStates,
    "earlier states are taken" to ::earlierStates
)
