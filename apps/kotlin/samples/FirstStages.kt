package com.example.sleep

import android.content.Context
import dev.wristsleep.Epoch
import dev.wristsleep.Sensor
import dev.wristsleep.SleepStager
import dev.wristsleep.fromAssets

/** Stages of ten minutes of example data. */
fun firstStages(context: Context): List<Epoch> {
    val start = 1767999600.0 // Unix time
    val night = ArrayList<Epoch>()
    SleepStager.fromAssets(context, start = start).use { stager ->
        for (second in 0 until 600) {
            stager.feed(Sensor.HEART_RATE, start + second, 58.0 + second % 5)
            stager.feed(Sensor.MOTION, start + second, 0.02, -0.31, -0.95)
            night += stager.take()
        }
        night += stager.take(start + 600) // the clock closes the last window
    }
    return night
}
