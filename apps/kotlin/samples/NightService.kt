package com.example.sleep

import android.app.Notification
import android.app.NotificationChannel
import android.app.NotificationManager
import android.app.Service
import android.content.Context
import android.content.Intent
import android.content.pm.ServiceInfo
import android.hardware.Sensor
import android.hardware.SensorEvent
import android.hardware.SensorEventListener
import android.hardware.SensorManager
import android.os.Handler
import android.os.HandlerThread
import android.os.IBinder
import android.os.PowerManager
import android.util.Log
import dev.wristsleep.Epoch
import dev.wristsleep.NightClock
import dev.wristsleep.Sample
import dev.wristsleep.SleepStager
import dev.wristsleep.StagerException
import dev.wristsleep.fromAssets
import dev.wristsleep.toSample

/**
 * Stages a night on the watch, in the foreground so that Android leaves it running. The activity asks for the
 * permissions of AndroidManifest.xml, then calls startForegroundService(Intent(this, NightService::class.java)).
 *
 * Everything except onDestroy runs on one separate thread: sensor events, stages, files.
 */
class NightService : Service(), SensorEventListener {
    private val thread = HandlerThread("night")
    private val handler by lazy { Handler(thread.looper) }
    private val sensors by lazy { getSystemService(SensorManager::class.java) }
    private val wakeLock by lazy {
        getSystemService(PowerManager::class.java).newWakeLock(PowerManager.PARTIAL_WAKE_LOCK, "sleep:night")
    }
    private val waiting = ArrayList<Sample>() // delivered and not fed
    private lateinit var file: NightFile
    private lateinit var clock: NightClock
    private lateinit var stager: SleepStager

    override fun onCreate() {
        super.onCreate()
        thread.start()
        handler.post { begin() } // reading the model is no work for the main thread
    }

    override fun onStartCommand(intent: Intent?, flags: Int, startId: Int): Int {
        val channel = NotificationChannel("night", "Sleep", NotificationManager.IMPORTANCE_LOW)
        getSystemService(NotificationManager::class.java).createNotificationChannel(channel)
        val notification = Notification.Builder(this, "night").setContentTitle("Sleep is being recorded")
            .setSmallIcon(android.R.drawable.ic_lock_idle_alarm).build()
        // from Android 14 (API 34) on; before it the overload without a type
        startForeground(1, notification, ServiceInfo.FOREGROUND_SERVICE_TYPE_HEALTH)
        return START_STICKY
    }

    private fun begin() {
        wakeLock.acquire(LONGEST_NIGHT_MS) // else the processor sleeps, and with it the accelerometer
        file = NightFile(this)
        val saved = file.read()
        clock = saved?.let { NightClock(it.origin) } ?: NightClock()
        stager = SleepStager.fromAssets(this, start = clock.now())
        try {
            saved?.let { stager.restore(it.state) }
        } catch (error: StagerException) { // the app has another model now: the night starts again
            Log.w("NightService", "$error")
        }
        listen(Sensor.TYPE_HEART_RATE, SensorManager.SENSOR_DELAY_NORMAL)
        listen(Sensor.TYPE_ACCELEROMETER, 1_000_000 / 50)
        handler.postDelayed({ tick() }, 1000L * stager.strideSeconds)
    }

    private fun listen(type: Int, samplingUs: Int) {
        val sensor = sensors.getDefaultSensor(type)
        if (sensor == null) Log.w("NightService", "no sensor of type $type") // the night goes on
        else sensors.registerListener(this, sensor, samplingUs, BATCH_US, handler)
    }

    override fun onSensorChanged(event: SensorEvent) {
        event.toSample(clock)?.let { waiting.add(it) }
    }

    override fun onAccuracyChanged(sensor: Sensor, accuracy: Int) = Unit

    /** Every stride: feed in time order what every sensor has delivered by now, take its stages. */
    private fun tick() {
        val until = clock.now() - DELIVERY_S
        val delivered = waiting.filter { it.t <= until }.sortedBy { it.t }
        waiting.removeAll { it.t <= until }
        delivered.forEach { stager.feed(it) }
        stager.take(until).forEach { show(it) }
        file.write(clock.origin, stager.save())
        handler.postDelayed({ tick() }, 1000L * stager.strideSeconds)
    }

    private fun show(epoch: Epoch) {
        Log.i("NightService", "${epoch.time} ${epoch.stage} ${epoch.coverage}") // to the screen, a database, the phone
    }

    override fun onDestroy() {
        sensors.unregisterListener(this)
        handler.post {
            wakeLock.release()
            stager.close()
            file.delete() // the night is over; a service that Android kills does not come here
        }
        thread.quitSafely()
        super.onDestroy()
    }

    override fun onBind(intent: Intent): IBinder? = null

    private companion object {
        const val BATCH_US = 10_000_000 // sensors may keep samples for so long, to save power
        const val DELIVERY_S = 15.0 // all samples have come by then
        const val LONGEST_NIGHT_MS = 14 * 3600 * 1000L
    }
}
