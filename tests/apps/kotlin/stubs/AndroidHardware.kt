@file:Suppress("UNUSED_PARAMETER", "unused")

package android.hardware

import android.os.Handler

class Sensor(val type: Int) {
    companion object {
        const val TYPE_ACCELEROMETER = 1
        const val TYPE_HEART_RATE = 21
    }
}

class SensorEvent(
    @JvmField val values: FloatArray,
    @JvmField var accuracy: Int,
    @JvmField var sensor: Sensor,
    @JvmField var timestamp: Long
)

interface SensorEventListener {
    fun onSensorChanged(event: SensorEvent)

    fun onAccuracyChanged(sensor: Sensor, accuracy: Int)
}

abstract class SensorManager {
    abstract fun getDefaultSensor(type: Int): Sensor?

    abstract fun registerListener(
        listener: SensorEventListener, sensor: Sensor, samplingPeriodUs: Int, maxReportLatencyUs: Int, handler: Handler
    ): Boolean

    abstract fun unregisterListener(listener: SensorEventListener)

    companion object {
        const val SENSOR_DELAY_NORMAL = 3
        const val SENSOR_STATUS_UNRELIABLE = 0
    }
}
