/*
 * Declarations of Android that the library and its samples use, so that they compile without Android: names and types
 * as in its documentation, and no more behaviour than the tests need.
 */
@file:Suppress("UNUSED_PARAMETER", "unused")

package android.content

import android.content.res.AssetManager
import android.os.IBinder
import java.io.File
import java.io.InputStream

open class Context(private val open: (String) -> InputStream = { throw java.io.FileNotFoundException(it) }) {
    val assets: AssetManager get() = AssetManager(open)
    val filesDir: File get() = File(System.getProperty("java.io.tmpdir"))
    val contentResolver: ContentResolver get() = ContentResolver()

    fun <T> getSystemService(type: Class<T>): T = throw UnsupportedOperationException()

    fun startForegroundService(intent: Intent): ComponentName? = null
}

class ContentResolver

class ComponentName

class Intent(context: Context, type: Class<*>)
