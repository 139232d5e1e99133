@file:Suppress("UNUSED_PARAMETER")

package androidx.health.connect.client

import android.content.Context
import androidx.health.connect.client.records.Record

interface PermissionController {
    suspend fun getGrantedPermissions(): Set<String>
}

interface HealthConnectClient {
    val permissionController: PermissionController

    suspend fun insertRecords(records: List<Record>): Any

    companion object {
        const val SDK_AVAILABLE = 3

        fun getSdkStatus(context: Context): Int = 1

        fun getOrCreate(context: Context): HealthConnectClient = throw UnsupportedOperationException()
    }
}
