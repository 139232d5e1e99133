package com.example.sleep

import android.content.Context
import androidx.health.connect.client.HealthConnectClient
import androidx.health.connect.client.permission.HealthPermission
import androidx.health.connect.client.records.SleepSessionRecord
import androidx.health.connect.client.records.metadata.Device
import androidx.health.connect.client.records.metadata.Metadata
import dev.wristsleep.Epoch
import dev.wristsleep.SleepStager
import java.time.ZoneId

/** Ask for these with PermissionController.createRequestPermissionResultContract(), in an activity. */
val HEALTH_CONNECT_PERMISSIONS = setOf(HealthPermission.getWritePermission(SleepSessionRecord::class))

/**
 * Write a night into Health Connect, which is on phones: a watch sends its epochs there first. Writing a longer part of
 * the same night replaces the shorter one.
 *
 * @return whether it was written: it is not where Health Connect is missing or not allowed, or nothing was staged.
 */
suspend fun writeNight(context: Context, night: List<Epoch>, zone: ZoneId = ZoneId.systemDefault()): Boolean {
    if (HealthConnectClient.getSdkStatus(context) != HealthConnectClient.SDK_AVAILABLE) return false
    val healthConnect = HealthConnectClient.getOrCreate(context)
    val granted = healthConnect.permissionController.getGrantedPermissions()
    if (!granted.containsAll(HEALTH_CONNECT_PERMISSIONS)) return false
    val runs = SleepStager.segments(night, zone)
    if (runs.isEmpty()) return false
    val session = SleepSessionRecord(
        startTime = runs.first().start,
        startZoneOffset = runs.first().startOffset,
        endTime = runs.last().end,
        endZoneOffset = runs.last().endOffset,
        metadata = Metadata.autoRecorded(
            clientRecordId = "wristsleep-${runs.first().start.epochSecond}",
            clientRecordVersion = runs.last().end.epochSecond, // of two with the same id the greater one holds
            device = Device(type = Device.TYPE_WATCH)
        ),
        stages = runs.map { SleepSessionRecord.Stage(it.start, it.end, it.value) }
    )
    healthConnect.insertRecords(listOf(session))
    return true
}
