@file:Suppress("UNUSED_PARAMETER", "unused")

package android.app

import android.content.Context
import android.content.Intent
import android.os.IBinder

abstract class Service : Context() {
    open fun onCreate() {}

    open fun onStartCommand(intent: Intent?, flags: Int, startId: Int): Int = 0

    open fun onDestroy() {}

    abstract fun onBind(intent: Intent): IBinder?

    fun startForeground(id: Int, notification: Notification, foregroundServiceType: Int) {}

    companion object {
        const val START_STICKY = 1
    }
}

class Notification {
    class Builder(context: Context, channelId: String) {
        fun setContentTitle(title: CharSequence): Builder = this

        fun setSmallIcon(icon: Int): Builder = this

        fun build(): Notification = Notification()
    }
}

class NotificationChannel(id: String, name: CharSequence, importance: Int)

abstract class NotificationManager {
    abstract fun createNotificationChannel(channel: NotificationChannel)

    companion object {
        const val IMPORTANCE_LOW = 2
    }
}
