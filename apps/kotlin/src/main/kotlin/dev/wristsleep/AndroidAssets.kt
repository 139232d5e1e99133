package dev.wristsleep

import android.content.Context
import android.util.Log

/**
 * A stager of a bundle in the app's assets. What it has to warn of goes to the log.
 *
 * @param folder of the assets, with contract.json and the .tflite files that it names.
 * @throws StagerException as the constructor.
 */
public fun SleepStager.Companion.fromAssets(
    context: Context,
    folder: String = "bundle",
    precision: String = "int8",
    start: Double = 0.0,
    operatingPoint: String? = null,
    contractSha256: String? = null
): SleepStager = SleepStager(
    { name -> context.assets.open("$folder/$name").use { it.readBytes() } },
    precision, start, operatingPoint, contractSha256,
    warn = { Log.w("SleepStager", it) }
)
