@file:Suppress("UNUSED_PARAMETER", "unused")

package androidx.health.connect.client.records

import androidx.health.connect.client.records.metadata.Metadata
import java.time.Instant
import java.time.ZoneOffset

interface Record

class SleepSessionRecord(
    startTime: Instant,
    startZoneOffset: ZoneOffset?,
    endTime: Instant,
    endZoneOffset: ZoneOffset?,
    metadata: Metadata,
    title: String? = null,
    notes: String? = null,
    stages: List<Stage> = emptyList()
) : Record {
    class Stage(startTime: Instant, endTime: Instant, stage: Int)
}
