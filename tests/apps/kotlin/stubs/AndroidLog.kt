@file:Suppress("UNUSED_PARAMETER")

package android.util

object Log {
    @JvmStatic
    fun i(tag: String, message: String): Int = 0

    @JvmStatic
    fun w(tag: String, message: String): Int = 0
}
