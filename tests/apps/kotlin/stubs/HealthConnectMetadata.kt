@file:Suppress("UNUSED_PARAMETER")

package androidx.health.connect.client.records.metadata

class Device(type: Int, manufacturer: String? = null, model: String? = null) {
    companion object {
        const val TYPE_WATCH = 1
    }
}

class Metadata private constructor() {
    companion object {
        fun autoRecorded(clientRecordId: String, clientRecordVersion: Long = 0, device: Device): Metadata = Metadata()
    }
}
