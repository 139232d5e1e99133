package dev.wristsleep

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import org.tensorflow.lite.Interpreter

/** Name of the runtime that this library runs on, as contract.json has it. */
private const val RUNTIME = "ai-edge-litert"

/** Type of all tensors of a contract, as the runtime names it. */
private const val TYPE = "FLOAT32"

/** Makes the calls of a bundle, and keeps their states. */
internal class ModelRunner(private val counting: MotionCounting?, private val network: Precision) : AutoCloseable {
    private val plans = listOfNotNull(counting?.plan, network.plan)
    private val interpreters = HashMap<String, Interpreter>()

    /** Of the activity call and of the network, by name. */
    var states: Map<String, FloatArray> = emptyMap()

    /** Digests of the model's files, to recognise saved states of other models. */
    val model: String = plans.flatMap { it.calls }.joinToString(" ") { it.sha256 }

    init {
        reset()
    }

    /** Before a night. */
    fun reset() {
        states = plans.flatMap { it.states.entries }.associate { it.key to it.value }
    }

    /** Load the files. [read]: the bytes of a file of the bundle. */
    fun load(read: (String) -> ByteArray) {
        for (call in plans.flatMap { it.calls }) {
            val status = call.runtimes[RUNTIME] ?: ""
            if (status.startsWith("refused")) fail(ErrorCode.REFUSED_RUNTIME, "${call.file}: $RUNTIME: $status")
            val content = readFile(call.file, read)
            val digest = sha256(content)
            if (digest != call.sha256) {
                fail(ErrorCode.ALTERED_FILE, "${call.file}: SHA-256 is $digest, expected ${call.sha256}")
            }
            if (call.file !in interpreters) interpreters[call.file] = interpreter(call.file, content)
            checkTensors(call, interpreters.getValue(call.file))
        }
    }

    private fun interpreter(file: String, content: ByteArray) = try {
        Interpreter(inNativeMemory(content), Interpreter.Options().setNumThreads(1))
    } catch (error: IllegalArgumentException) {
        fail(ErrorCode.REFUSED_RUNTIME, "$file: $RUNTIME cannot load it: ${error.message}", error)
    }

    /** Check the tensors of a loaded file against the contract. */
    private fun checkTensors(call: Call, file: Interpreter) {
        val key = call.signature
        fun compare(what: String, found: List<String>, promised: List<String>) {
            if (if (what == "signatures") found.containsAll(promised) else found.sorted() == promised.sorted()) return
            val text = "${call.file}: its $what are $found, $CONTRACT_FILE promises $promised"
            fail(ErrorCode.UNSUPPORTED_CONTRACT, text)
        }
        compare("signatures", file.signatureKeys.toList(), listOf(key))
        val inputs = file.getSignatureInputs(key).map {
            val tensor = file.getInputTensorFromSignature(it, key)
            text(it, "${tensor.dataType()}", tensor.shape().toList())
        }
        val outputs = file.getSignatureOutputs(key).map {
            val tensor = file.getOutputTensorFromSignature(it, key)
            text(it, "${tensor.dataType()}", tensor.shape().toList())
        }
        compare("inputs", inputs, call.inputs.map { text(it.name, TYPE, it.shape) })
        compare("outputs", outputs, call.outputs.map { text(it.name, TYPE, it.shape) })
    }

    private fun text(name: String, type: String, shape: List<Int>) = "$name $type $shape"

    /** A model where the runtime wants it. Only checked ones get there: a damaged file can crash the runtime. */
    private fun inNativeMemory(content: ByteArray): ByteBuffer {
        val buffer = ByteBuffer.allocateDirect(content.size).order(ByteOrder.nativeOrder())
        buffer.put(content)
        buffer.rewind()
        return buffer
    }

    /** Probabilities of a window, values by channel. */
    fun step(window: Map<String, FloatArray>): FloatArray =
        run(network.plan, window.mapKeys { "channel:${it.key}" }).getValue(network.output)

    /** Activity counts of a stride of motion, x, y, z of each point. */
    fun counts(motion: FloatArray): FloatArray {
        val size = 3 * counting!!.hz * counting.callSeconds
        val parts = (0 until motion.size step size).map { begin ->
            val part = motion.copyOfRange(begin, begin + size)
            run(counting.plan, mapOf("sensor:motion" to part)).getValue("channel:activity")
        }
        return parts.reduce { all, part -> all + part }
    }

    /** Run the calls of a plan in order and update its states. Returns [sources] and all outputs, by link. */
    private fun run(plan: Plan, sources: Map<String, FloatArray>): Map<String, FloatArray> {
        val tensors = HashMap(sources)
        val renewed = HashMap<String, FloatArray>()
        states.forEach { (name, values) -> tensors["state:$name"] = values }
        for (call in plan.calls) {
            val inputs = HashMap<String, Any>()
            for (tensor in call.inputs) inputs[tensor.name] = FloatBuffer.wrap(tensors.getValue(tensor.link))
            val outputs = HashMap<String, Any>()
            val values = call.outputs.associate { it to FloatArray(it.size) }
            for ((tensor, array) in values) outputs[tensor.name] = FloatBuffer.wrap(array)
            interpreters.getValue(call.file).runSignature(inputs, outputs, call.signature)
            for ((tensor, array) in values) {
                tensors["output:${tensor.name}"] = array
                if (tensor.link != "") renewed[tensor.link] = array
            }
        }
        states = states.mapValues { (name, values) -> renewed["state:$name"] ?: values }
        return tensors + renewed
    }

    override fun close() {
        interpreters.values.forEach { it.close() }
        interpreters.clear()
    }
}

/** The bytes of a file of a bundle. */
internal fun readFile(name: String, read: (String) -> ByteArray): ByteArray = try {
    read(name)
} catch (error: Exception) { // whatever the app reads with
    fail(ErrorCode.MISSING_FILE, "$name: expected in the bundle, but cannot be read: ${error.message}", error)
}
