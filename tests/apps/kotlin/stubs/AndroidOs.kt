@file:Suppress("UNUSED_PARAMETER", "unused")

package android.os

interface IBinder

open class Looper

/** Runnable in Java, for which Kotlin takes a function. */
open class Handler(looper: Looper) {
    fun post(work: () -> Unit): Boolean = true

    fun postDelayed(work: () -> Unit, delayMillis: Long): Boolean = true
}

open class HandlerThread(name: String) : Thread(name) {
    val looper: Looper get() = Looper()

    fun quitSafely(): Boolean = true
}

object SystemClock {
    var nanos = 0L

    @JvmStatic
    fun elapsedRealtimeNanos(): Long = nanos
}

abstract class PowerManager {
    abstract fun newWakeLock(levelAndFlags: Int, tag: String): WakeLock

    abstract class WakeLock {
        abstract fun acquire(timeout: Long)

        abstract fun release()
    }

    companion object {
        const val PARTIAL_WAKE_LOCK = 1
    }
}
