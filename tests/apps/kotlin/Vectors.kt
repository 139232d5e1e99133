/*
 * Runs test vectors: a line of stdin is "vector.json<tab>folder of its bundle", each is answered by "passed" or by what
 * was not as expected. A line "test<tab>name" runs one of Tests.kt.
 */
package dev.wristsleep

import java.io.File
import java.time.Instant
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter
import kotlin.math.abs
import kotlin.system.exitProcess

private fun number(x: Any?): Double = when (x) {
    "nan" -> Double.NaN
    "inf" -> Double.POSITIVE_INFINITY
    "-inf" -> Double.NEGATIVE_INFINITY
    else -> x as Double
}

@Suppress("UNCHECKED_CAST")
private fun objectOf(x: Any?) = x as Map<String, Any?>

private fun same(what: String, expected: Any?, actual: Any?) {
    if (expected != actual) throw AssertionError("$what: expected $expected, got $actual")
}

private fun near(what: String, expected: Double, actual: Double, tolerance: Double) {
    if (!(abs(expected - actual) <= tolerance)) throw AssertionError("$what: expected $expected, got $actual")
}

private fun refused(code: String, work: () -> Unit) {
    try {
        work()
    } catch (error: StagerException) {
        return same("error (${error.message})", code, error.code.id)
    }
    throw AssertionError("expected error $code, got none")
}

private class Run(val vector: Map<String, Any?>, val folder: File) {
    val epochs = ArrayList<Epoch>()
    var saved = ByteArray(0)
    val warnings = ArrayList<String>()
    private val options = vector + objectOf(vector["open"] ?: emptyMap<String, Any?>())
    private val precision = options["precision"] as String? ?: "int8"
    var stager = open(number(options["start"] ?: 0.0), precision)

    private fun open(
        start: Double, precision: String, point: String? = options["operating_point"] as String?
    ): SleepStager {
        return SleepStager(
            { File(folder, it).readBytes() }, precision, start,
            point,
            options["contract_sha256"] as String?
        ) { warnings.add(it) }
    }

    fun step(step: Map<String, Any?>) {
        val code = step["error"] as String?
        if (code == null) act(step) else refused(code) { act(step) }
    }

    private fun act(step: Map<String, Any?>) {
        for (sample in step["feed"] as List<*>? ?: emptyList<Any>()) {
            val (sensor, t, value) = sample as List<*>
            val values = (value as? List<*> ?: listOf(value)).map { number(it) }.toDoubleArray()
            stager.feed(Sensor.named(sensor as String), number(t), *values)
        }
        if ("take" in step) {
            val taken = if (step["take"] == null) stager.take() else stager.take(number(step["take"]))
            epochs.addAll(taken)
            if ("epochs" in step) compare(step["epochs"] as List<*>, taken)
        }
        if ("dropped" in step) {
            val found = stager.dropped.entries.associate { (sensor, reasons) ->
                sensor.id to reasons.filterValues { it > 0 }.entries.associate { it.key.id to it.value.toDouble() }
            }
            same("dropped", objectOf(step["dropped"]), found.filterValues { it.isNotEmpty() })
        }
        if ("findings" in step) same("findings", step["findings"], stager.findings)
        if ("save" in step) saved = stager.save()
        if ("reset" in step) stager.reset(number(step["reset"]))
        when (step["restore"]) {
            null -> Unit
            "damaged" -> stager.restore(saved.copyOf(saved.size / 2))
            "other_precision" -> open(0.0, "float32").use { it.restore(saved) }
            "other_operating_point" -> {
                val point = if (options["operating_point"] == null) "rem" else null
                open(0.0, precision, point).use { it.restore(saved) }
            }
            else -> {
                stager.close()
                stager = open(-77.0, precision)
                stager.restore(saved)
            }
        }
        if ("segments" in step) segments(objectOf(step["segments"]), step["values"] as List<*>?)
    }

    private fun compare(expected: List<*>, taken: List<Epoch>) {
        same("number of epochs", expected.size, taken.size)
        for ((epoch, x) in taken.zip(expected.map { objectOf(it) })) {
            val at = "epoch at ${epoch.time}"
            near(at, number(x["time"]), epoch.time, 1e-6)
            same("$at: stage", x["stage"], epoch.stage.label)
            (x["probabilities"] as List<*>).zip(epoch.probabilities.toList()).forEachIndexed { i, (p, actual) ->
                near("$at: probability $i", number(p), actual.toDouble(), number(vector["tolerance"] ?: 1e-4))
            }
            val coverage = objectOf(x["coverage"])
            same("$at: sensors", coverage.keys, epoch.coverage.keys.map { it.id }.toSet())
            for ((sensor, actual) in epoch.coverage) {
                val entry = objectOf(coverage[sensor.id])
                near("$at: share of ${sensor.id}", number(entry["share"]), actual.share, 1e-9)
                same("$at: seconds since ${sensor.id}", entry["seconds_since"], actual.secondsSince)
            }
        }
    }

    private fun segments(how: Map<String, Any?>, expected: List<*>?) {
        val zone = SleepStager.zoneOf(how["zone"] as String)
        val store = HealthStore.named(how["platform"] as String)
        val found = SleepStager.segments(epochs, zone, store, number(how["origin"] ?: 0.0)).map {
            mapOf(
                "start" to iso(it.start, it.startOffset), "end" to iso(it.end, it.endOffset),
                "stage" to it.stage, "value" to it.value.toDouble()
            )
        }
        if (expected != null) same("segments", expected, found)
    }

    private fun iso(time: Instant, offset: ZoneOffset): String {
        val pattern = "yyyy-MM-dd'T'HH:mm:ss${if (time.nano == 0) "" else ".SSS"}xxx"
        return DateTimeFormatter.ofPattern(pattern).format(time.atOffset(offset))
    }
}

private fun run(path: String, folder: File) {
    val vector = objectOf(Json.read(File(path).readText()))
    val error = vector["error"] as String?
    if (error != null) return refused(error) { Run(vector, folder) }
    val run = Run(vector, folder)
    (vector["steps"] as List<*>).forEachIndexed { i, step ->
        try {
            run.step(objectOf(step))
        } catch (error: Throwable) {
            throw AssertionError("step $i: ${error.message ?: error}", error)
        }
    }
    run.stager.close()
    val told = run.warnings.distinct().size
    same("warnings of simulated nights", run.stager.simulated, told == 1)
}

fun main() {
    generateSequence(::readLine).forEach { line ->
        val (first, second) = line.split("\t")
        println(
            try {
                if (first == "test") TESTS.getValue(second)() else run(first, File(second))
                "passed"
            } catch (error: Throwable) {
                System.err.println(first)
                error.printStackTrace()
                "failed: ${error.message ?: error}".replace("\n", " ")
            }
        )
    }
    exitProcess(0) // whatever threads a failed test has left
}
