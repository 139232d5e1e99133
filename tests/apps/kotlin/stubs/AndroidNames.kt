@file:Suppress("ClassName")

package android

class R {
    object drawable {
        const val ic_lock_idle_alarm = 0x0108002e
    }
}
