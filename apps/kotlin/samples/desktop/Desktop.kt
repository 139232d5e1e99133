package com.example.sleep

import dev.wristsleep.Sensor
import dev.wristsleep.SleepStager
import java.io.File

/** Stages ten minutes of example data with the bundle in the folder given as the first argument. */
fun main(arguments: Array<String>) {
    val start = 1767999600.0 // Unix time
    SleepStager({ File(arguments[0], it).readBytes() }, start = start).use { stager ->
        for (second in 0 until 600) {
            stager.feed(Sensor.HEART_RATE, start + second, 58.0 + second % 5)
            stager.feed(Sensor.MOTION, start + second, 0.02, -0.31, -0.95)
        }
        val night = stager.take(start + 600) // the clock closes the last window
        for (epoch in night) println("${epoch.time.toLong()} ${epoch.stage} ${epoch.coverage}")
        for (run in SleepStager.segments(night)) println("${run.start} ${run.end} ${run.stage}")
    }
    System.exit(0) // the stand-in for the runtime, a child process, ends with this one
}
