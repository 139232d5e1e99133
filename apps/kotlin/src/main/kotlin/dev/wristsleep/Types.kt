package dev.wristsleep

import java.time.Instant
import java.time.ZoneOffset

/** What can be fed. [id]: its name in contract.json; the rest is what the format fixes. [missing]: not sensed. */
public enum class Sensor(
    public val id: String,
    internal val valueCount: Int,
    internal val low: Int,
    internal val high: Int,
    internal val missing: Int,
    internal val isSum: Boolean,
    vararg channels: String
) {
    /** bpm. */
    HEART_RATE("heart_rate", 1, 20, 250, 0, false, "heart_rate"),

    /** x, y, z in g, gravity included, of a watch at rest: about 1 g. */
    MOTION("motion", 3, -16, 16, -100, false, "motion_x", "motion_y", "motion_z", "motion_magnitude"),

    /** Steps of a bin, fed at its end. */
    STEPS("steps", 1, 0, 10_000, -1, true, "steps"),

    /** Activity count of a bin, fed at its end. */
    ACTIVITY("activity", 1, 0, 100_000, -1, true, "activity");

    internal val channels: List<String> = channels.toList()

    public companion object {
        /**
         * The sensor of a name, such as heart_rate.
         *
         * @throws StagerException UNKNOWN_SENSOR.
         */
        public fun named(name: String): Sensor =
            oneOf(ErrorCode.UNKNOWN_SENSOR, "sensor", name, values().associateBy { it.id })
    }
}

/** [t]: s. */
public class Sample(public val sensor: Sensor, public val t: Double, public vararg val values: Double)

/** Why a sample was dropped, in the order of the checks. [id]: its name in every language. */
public enum class DropReason(public val id: String) {
    NOT_A_NUMBER("not_a_number"),

    /** Motion that is not in g: see `findings`. */
    WRONG_UNIT("wrong_unit"),
    OUT_OF_RANGE("out_of_range"),

    /** Its window is closed, or it is before the start. */
    LATE("late"),

    /** A sample of the same sensor and time was taken before. */
    REPEATED("repeated")
}

/** [label]: as the contract has it. */
public enum class Stage(public val label: String, internal val healthKit: Int, internal val healthConnect: Int) {
    WAKE("Wake", 2, 1),
    N1("N1", 3, 4),
    N2("N2", 3, 4),
    N3("N3", 4, 5),
    REM("REM", 5, 6),

    /** Too few data to predict a stage: off the wrist, or no signal. */
    UNKNOWN("Unknown", 0, 0);

    internal companion object {
        /** The stages that have a probability, in that order. */
        val SCORED = values().toList() - UNKNOWN
    }
}

/**
 * Coverage of one sensor at a window. [share]: share of the strides of the last ten minutes that have a value.
 * [secondsSince]: from its newest value to the end of the window; null if there has been none.
 */
public data class SensorCoverage(public val share: Double, public val secondsSince: Double?)

/**
 * The stage of one stride. [time]: s, when it begins; it lasts [seconds]. [probabilities]: of Wake, N1, N2, N3, REM;
 * meaningless if the stage is UNKNOWN. [coverage]: of the sensors that the model takes.
 */
public class Epoch(
    public val time: Double,
    public val seconds: Int,
    public val stage: Stage,
    public val probabilities: FloatArray,
    public val coverage: Map<Sensor, SensorCoverage>
)

/** Whose stage codes segments have. [id]: its name in every language. */
public enum class HealthStore(public val id: String) {
    HEALTH_CONNECT("health_connect"),
    HEALTHKIT("healthkit");

    public companion object {
        /**
         * The store of a name, such as health_connect.
         *
         * @throws StagerException UNKNOWN_PLATFORM.
         */
        public fun named(name: String): HealthStore =
            oneOf(ErrorCode.UNKNOWN_PLATFORM, "platform", name, values().associateBy { it.id })
    }
}

/** A run of one value of a health store, and the zone's offset at its start and end. [stage]: the name of [value]. */
public data class Segment(
    public val start: Instant,
    public val startOffset: ZoneOffset,
    public val end: Instant,
    public val endOffset: ZoneOffset,
    public val stage: String,
    public val value: Int
)
