package dev.wristsleep

/** Error codes, with the same names in the libraries of all languages. */
public enum class ErrorCode(public val id: String) {
    UNKNOWN_SENSOR("unknown_sensor"),
    WRONG_VALUE_COUNT("wrong_value_count"),

    /** A time more than a night after the start: milliseconds, or a night that was not begun with `reset`. */
    TIME_BEYOND_NIGHT("time_beyond_night"),

    /** NaN or infinite. */
    NOT_A_TIME("not_a_time"),
    UNKNOWN_PRECISION("unknown_precision"),
    UNKNOWN_OPERATING_POINT("unknown_operating_point"),
    MISSING_FILE("missing_file"),

    /** A file that is not the one that the contract describes, by its SHA-256. */
    ALTERED_FILE("altered_file"),

    /** contract.json is not the one that the app was built for, by its SHA-256. */
    ALTERED_CONTRACT("altered_contract"),

    /** contract.json is of another format, or a field is missing or wrong: the message has its path. */
    UNSUPPORTED_CONTRACT("unsupported_contract"),

    /** The contract says that a file goes wrong in this runtime, or the runtime cannot load it. */
    REFUSED_RUNTIME("refused_runtime"),

    /** Bytes that another model saved, or one at another operating point, or damaged ones. */
    WRONG_STATE("wrong_state"),
    UNKNOWN_PLATFORM("unknown_platform"),
    UNKNOWN_ZONE("unknown_zone")
}

/** Everything this library throws, except [IllegalStateException] after `close`. */
public class StagerException internal constructor(
    public val code: ErrorCode, message: String, cause: Throwable? = null
) : IllegalArgumentException(message, cause)

internal fun fail(code: ErrorCode, message: String, cause: Throwable? = null): Nothing =
    throw StagerException(code, message, cause)

/** The entry of a name, or an error that lists the known names. */
internal fun <T : Any> oneOf(code: ErrorCode, what: String, name: String, entries: Map<String, T>): T =
    entries[name] ?: fail(code, "$what '$name': expected one of ${entries.keys.joinToString()}")
