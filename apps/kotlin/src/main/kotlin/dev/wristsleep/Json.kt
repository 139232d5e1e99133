package dev.wristsleep

/**
 * Reads JSON: objects as Map, arrays as List, numbers as Double, text, Boolean, null.
 *
 * Android's org.json is not on the JVM, where the tests run, and no other reader is on both without a dependency.
 */
internal class Json private constructor(private val text: String) {
    private var at = 0

    private fun document(): Any? {
        val value = value(0)
        skipSpace()
        if (at < text.length) wrong("nothing more")
        return value
    }

    private fun value(depth: Int): Any? {
        if (depth > DEEPEST) wrong("fewer levels")
        skipSpace()
        return when (peek()) {
            '{' -> members(depth)
            '[' -> items(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun members(depth: Int): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        sequence('}') {
            skipSpace()
            val key = string()
            skipSpace()
            expect(':')
            found[key] = value(depth + 1)
        }
        return found
    }

    private fun items(depth: Int): List<Any?> {
        val found = ArrayList<Any?>()
        sequence(']') { found.add(value(depth + 1)) }
        return found
    }

    /** What stands between brackets, separated by commas. */
    private fun sequence(end: Char, item: () -> Unit) {
        at++
        skipSpace()
        if (peek() == end) {
            at++
            return
        }
        while (true) {
            item()
            skipSpace()
            if (peek() == end) break
            expect(',')
        }
        at++
    }

    private fun string(): String {
        expect('"')
        val found = StringBuilder()
        while (true) {
            val c = next()
            if (c == '"') return found.toString()
            found.append(if (c == '\\') escaped() else c)
        }
    }

    private fun escaped(): Char = when (val c = next()) {
        '"', '\\', '/' -> c
        'b' -> '\b'
        'f' -> '\u000C'
        'n' -> '\n'
        'r' -> '\r'
        't' -> '\t'
        'u' -> {
            val code = text.substring(at, minOf(at + 4, text.length)).toIntOrNull(16) ?: wrong("four hex digits")
            at += 4
            code.toChar()
        }
        else -> wrong("an escape")
    }

    private fun number(): Double {
        val match = NUMBER.find(text, at)?.value?.takeIf { text.startsWith(it, at) } ?: wrong("a value")
        at += match.length
        return match.toDouble()
    }

    private fun <T> word(word: String, value: T): T {
        if (!text.startsWith(word, at)) wrong("a value")
        at += word.length
        return value
    }

    private fun skipSpace() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }

    private fun peek(): Char = if (at < text.length) text[at] else wrong("more")

    private fun next(): Char = peek().also { at++ }

    private fun expect(c: Char) {
        if (next() != c) {
            at--
            wrong("'$c'")
        }
    }

    private fun wrong(expected: String): Nothing =
        throw IllegalArgumentException("expected $expected at character $at")

    companion object {
        private const val DEEPEST = 100
        private val NUMBER = Regex("-?\\d+(\\.\\d+)?([eE][+-]?\\d+)?")

        /**
         * The value of a text.
         *
         * @throws IllegalArgumentException says what was expected, and where.
         */
        fun read(text: String): Any? = Json(text).document()
    }
}

private const val MOST_VALUES = 10_000_000

/** A value of contract.json with the path of its field, for messages. */
internal class Field(private val path: String, private val value: Any?) {
    /** A required field. */
    operator fun get(name: String): Field = find(name) ?: Field(below(name), null).wrong("missing")

    /** An optional field; null if absent. */
    fun find(name: String): Field? = entries()[name]?.takeIf { it.value != null }

    fun entries(): Map<String, Field> =
        ofType<Map<*, *>>("an object").entries.associate { (name, x) -> "$name" to Field(below("$name"), x) }

    fun list(): List<Field> = ofType<List<*>>("a list").mapIndexed { i, x -> Field(below("$i"), x) }

    fun text(): String = ofType("text")

    fun boolean(): Boolean = ofType("true or false")

    fun double(): Double = ofType("a number")

    fun float(): Float = double().toFloat()

    /** A positive whole number. */
    fun size(): Int {
        val number = double()
        if (number != Math.rint(number) || number !in 1.0..MOST_VALUES.toDouble()) {
            wrong("$number: expected a whole number above 0")
        }
        return number.toInt()
    }

    /** Sizes of a tensor, which is not to exhaust memory. */
    fun shape(): List<Int> {
        val shape = list().map { it.size() }
        if (shape.fold(1.0) { a, b -> a * b } > MOST_VALUES) wrong("$shape: expected fewer values")
        return shape
    }

    /** A number that the format fixes; any other is an error. */
    fun constant(expected: Number): Double =
        double().also { if (it != expected.toDouble()) wrong("$it: expected $expected") }

    /** A list of numbers that the format fixes. */
    fun constants(vararg expected: Number): List<Double> {
        if (list().size != expected.size) wrong("expected ${expected.joinToString()}")
        return list().mapIndexed { i, field -> field.constant(expected[i]) }
    }

    /** Refuse the contract for this field. */
    fun wrong(what: String): Nothing = fail(ErrorCode.UNSUPPORTED_CONTRACT, "$CONTRACT_FILE: $path: $what")

    private fun below(name: String) = if (path == "") name else "$path.$name"

    private inline fun <reified T> ofType(expected: String): T =
        value as? T ?: wrong("expected $expected, got ${if (value is String) "'$value'" else "$value".take(40)}")
}
