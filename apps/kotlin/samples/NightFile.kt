package com.example.sleep

import android.content.Context
import android.provider.Settings
import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.File

/** [origin]: of the NightClock. */
class SavedNight(val origin: Double, val state: ByteArray)

/** The night that is under way, for a service that was killed. */
class NightFile(context: Context) {
    private val file = File(context.filesDir, "night")
    private val boot = Settings.Global.getInt(context.contentResolver, Settings.Global.BOOT_COUNT, 0)

    /** The saved night; null where there is none, it is an old one, or the watch, and with it the clock, began anew. */
    fun read(): SavedNight? {
        if (System.currentTimeMillis() - file.lastModified() > LONGEST_STOP_MS) return null // 0 where there is no file
        DataInputStream(file.inputStream().buffered()).use {
            if (it.readInt() != boot) return null
            return SavedNight(it.readDouble(), it.readBytes())
        }
    }

    fun write(origin: Double, state: ByteArray) {
        val whole = File(file.path + ".new") // whole or not at all
        DataOutputStream(whole.outputStream().buffered()).use {
            it.writeInt(boot)
            it.writeDouble(origin)
            it.write(state)
        }
        whole.renameTo(file)
    }

    fun delete() {
        file.delete()
    }

    private companion object {
        const val LONGEST_STOP_MS = 4 * 3600 * 1000L // after that it is another night
    }
}
