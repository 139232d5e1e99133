/*
 * The part of org.tensorflow.lite.Interpreter that the library uses, as strict about its arguments as the real one (a
 * direct buffer in native order; inputs of the very size; nothing after close). A child process, interpreters.py, does
 * the work: its command stands in the environment variable INTERPRETERS, words parted by newlines.
 */
package org.tensorflow.lite

import dev.wristsleep.Json
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.util.Base64

enum class DataType { FLOAT32, INT8, INT16, INT32 }

class Tensor(private val entry: Map<String, Any>) {
    fun dataType() = DataType.valueOf("${entry["dtype"]}".toUpperCase())

    fun shape(): IntArray = (entry.getValue("shape") as List<*>).map { (it as Double).toInt() }.toIntArray()
}

class Interpreter(model: ByteBuffer, options: Options) : AutoCloseable {
    class Options {
        var threads = -1

        fun setNumThreads(threads: Int): Options {
            this.threads = threads
            return this
        }
    }

    private val number: String
    private val signatures: Map<String, Map<String, List<Map<String, Any>>>>
    private var closed = false

    init {
        require(model.isDirect && model.order() == ByteOrder.nativeOrder()) { "no direct buffer in native order" }
        require(options.threads == 1) { "more threads than one" }
        number = ask("load ${base64(ByteArray(model.capacity()).also { model.duplicate().get(it) })}")
        @Suppress("UNCHECKED_CAST")
        signatures = Json.read(ask("signatures $number")) as Map<String, Map<String, List<Map<String, Any>>>>
        open++
    }

    val signatureKeys: Array<String> get() = signatures.keys.toTypedArray()

    fun getSignatureInputs(signature: String): Array<String> = names(signature, "inputs")

    fun getSignatureOutputs(signature: String): Array<String> = names(signature, "outputs")

    fun getInputTensorFromSignature(name: String, signature: String) = tensor(name, signature, "inputs")

    fun getOutputTensorFromSignature(name: String, signature: String) = tensor(name, signature, "outputs")

    private fun names(signature: String, side: String) =
        tensors(signature, side).map { it.getValue("name") as String }.toTypedArray()

    private fun tensor(name: String, signature: String, side: String) =
        Tensor(tensors(signature, side).single { it["name"] == name })

    private fun tensors(signature: String, side: String): List<Map<String, Any>> {
        check(!closed) { "closed" }
        return signatures.getValue(signature).getValue(side)
    }

    fun runSignature(inputs: Map<String, Any>, outputs: Map<String, Any>, signature: String) {
        check(!closed) { "closed" }
        val tensors = inputs.map { (name, values) ->
            val floats = values as FloatBuffer
            val bytes = ByteBuffer.allocate(4 * floats.capacity()).order(ByteOrder.LITTLE_ENDIAN)
            bytes.asFloatBuffer().put(floats.duplicate())
            "$name=${base64(bytes.array())}"
        }
        val said = ask("run $number $signature ${tensors.joinToString(" ")}").split(" ").associate {
            it.substringBefore("=") to Base64.getDecoder().decode(it.substringAfter("="))
        }
        for ((name, buffer) in outputs) {
            val values = ByteBuffer.wrap(said.getValue(name)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
            require(values.capacity() == (buffer as FloatBuffer).capacity()) { "$name: ${values.capacity()} values" }
            buffer.put(values)
        }
        check(!closed) { "closed under way" }
    }

    override fun close() {
        check(!closed) { "closed twice" }
        closed = true
        open--
    }

    companion object {
        /** How many are not closed. */
        var open = 0
            private set
        private val child: Process by lazy {
            val command = System.getenv("INTERPRETERS").split("\n")
            ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start()
        }
        private val input by lazy { child.inputStream.bufferedReader() }
        private val output by lazy { child.outputStream.bufferedWriter() }

        private fun base64(bytes: ByteArray): String = Base64.getEncoder().encodeToString(bytes)

        private fun ask(line: String): String {
            output.write(line + "\n")
            output.flush()
            return input.readLine() ?: throw IllegalStateException("the child process ended")
        }
    }
}
