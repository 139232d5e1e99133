package dev.wristsleep

import java.time.DateTimeException
import java.time.Instant
import java.time.ZoneId
import kotlin.math.floor

private val VALUE_NAMES = mapOf( // value -> its name in the store
    HealthStore.HEALTHKIT to mapOf(2 to "awake", 3 to "asleepCore", 4 to "asleepDeep", 5 to "asleepREM"),
    HealthStore.HEALTH_CONNECT to mapOf(1 to "AWAKE", 4 to "LIGHT", 5 to "DEEP", 6 to "REM")
)

/** See [SleepStager.segments]. */
internal fun segmentsOf(epochs: List<Epoch>, zone: ZoneId, store: HealthStore, origin: Double): List<Segment> {
    val segments = ArrayList<Segment>()
    for (epoch in epochs.filter { it.stage != Stage.UNKNOWN }.sortedBy { it.time }) {
        val last = segments.lastOrNull()
        val begin = instant(origin + epoch.time)
        val start = if (last != null && last.end > begin) last.end else begin
        val end = instant(origin + (epoch.time + epoch.seconds))
        val value = if (store == HealthStore.HEALTHKIT) epoch.stage.healthKit else epoch.stage.healthConnect
        if (start >= end) continue // covered by earlier epochs
        val endOffset = zone.rules.getOffset(end)
        if (last != null && last.end == start && last.value == value) {
            segments[segments.size - 1] = last.copy(end = end, endOffset = endOffset)
        } else {
            val name = VALUE_NAMES.getValue(store).getValue(value)
            segments.add(Segment(start, zone.rules.getOffset(start), end, endOffset, name, value))
        }
    }
    return segments
}

/** See [SleepStager.zoneOf]. */
internal fun zoneNamed(name: String): ZoneId = try {
    ZoneId.of(name)
} catch (error: DateTimeException) {
    fail(ErrorCode.UNKNOWN_ZONE, "zone '$name': expected an IANA name, such as Europe/Berlin, or like +02:00", error)
}

private fun instant(t: Double) = Instant.ofEpochMilli(floor(t * 1000 + 0.5).toLong())
