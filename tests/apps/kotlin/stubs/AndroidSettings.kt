@file:Suppress("UNUSED_PARAMETER")

package android.provider

import android.content.ContentResolver

class Settings {
    object Global {
        const val BOOT_COUNT = "boot_count"

        @JvmStatic
        fun getInt(resolver: ContentResolver, name: String, default: Int): Int = default
    }
}
