@file:Suppress("UNUSED_PARAMETER")

package androidx.health.connect.client.permission

import androidx.health.connect.client.records.Record
import kotlin.reflect.KClass

class HealthPermission {
    companion object {
        fun getWritePermission(recordType: KClass<out Record>): String = ""
    }
}
