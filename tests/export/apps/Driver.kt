/* Drives a SleepStager by lines on stdin, an answer a line, as drive() in test_apps.py describes. */
import java.io.File
import java.time.ZoneId
import wristsleep.Epoch
import wristsleep.SleepStager

fun main(arguments: Array<String>) {
    val folder = File(arguments[0])
    var stager: SleepStager? = null
    var saved = ByteArray(0)
    val epochs = ArrayList<Epoch>()
    fun text(epoch: Epoch): String {
        val coverage = epoch.coverage.map { (sensor, it) -> "$sensor=${it.share},${it.secondsSince}" }
        return "${epoch.time} ${epoch.stage} ${epoch.probabilities.joinToString(" ")} ${coverage.joinToString(" ")}"
    }
    fun answer(words: List<String>): String {
        when (words[0]) {
            "create" -> stager = SleepStager(
                { File(folder, it).readBytes() }, words[1], words[2].toDouble(), words[3].takeIf { it != "-" }
            )
            "feed" -> stager!!.feed(words[1], words[2].toDouble(), *words.drop(3).map { it.toDouble() }.toDoubleArray())
            "take" -> {
                val taken = if (words[1] == "-") stager!!.take() else stager!!.take(words[1].toDouble())
                epochs.addAll(taken)
                return taken.joinToString("|") { text(it) }
            }
            "dropped" -> return stager!!.dropped.flatMap { (sensor, reasons) ->
                reasons.filter { it.value > 0 }.map { "$sensor.${it.key}=${it.value}" }
            }.joinToString(" ")
            "findings" -> return stager!!.findings.joinToString("|")
            "step" -> {
                val window = words.drop(1).associate { channel ->
                    val (name, values) = channel.split("=")
                    name to values.split(",").map { it.toFloat() }.toFloatArray()
                }
                return stager!!.step(window).joinToString(" ")
            }
            "save" -> saved = stager!!.save()
            "cut" -> saved = saved.copyOf(saved.size / 2)
            "restore" -> stager!!.restore(saved)
            "reset" -> stager!!.reset(words[1].toDouble())
            "segments" ->
                return SleepStager.segments(epochs, ZoneId.of(words[1]), words[2], words[3].toDouble()).joinToString("|") {
                    "${it.start.atOffset(it.startOffset).toLocalDateTime()}${it.startOffset} " +
                        "${it.end.atOffset(it.endOffset).toLocalDateTime()}${it.endOffset} ${it.stage} ${it.value}"
                }
        }
        return "ok"
    }
    generateSequence(::readLine).forEach {
        println(try { answer(it.split(" ")) } catch (error: IllegalArgumentException) { "error ${error.message}" })
    }
}
