package dev.wristsleep

import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.Closeable
import java.io.DataInputStream
import java.io.DataOutputStream
import java.time.ZoneId
import java.util.zip.CRC32

/**
 * Takes the samples of one night and returns its stages.
 *
 * Times are in seconds of any one clock: Unix time, or since the start of the recording. Silent or absent
 * sensors, and late or out-of-range samples, give missing values; the night continues.
 *
 * May be used from several threads: feed from the sensors' thread, take from another. A call waits for a running one,
 * and so does `close`.
 *
 *     SleepStager({ assets.open("bundle/$it").use { file -> file.readBytes() } }, start = 1767999600.0).use { stager ->
 *         stager.feed(Sensor.HEART_RATE, 1767999603.2, 61.0)
 *         for (epoch in stager.take(1767999630.1)) println("${epoch.time} ${epoch.stage}")
 *     }
 *
 * @param read gives the bytes of a file of the bundle.
 * @param precision one of the bundle's.
 * @param start start of the first window, s.
 * @param operatingPoint one of the bundle's, to weight the probabilities; null for none.
 * @param contractSha256 SHA-256 of contract.json in hex: any other model is refused. null takes any.
 * @param warn called once if the model was trained on simulated nights.
 * @throws StagerException if the bundle is incomplete or not supported.
 */
public class SleepStager(
    read: (String) -> ByteArray,
    precision: String = "int8",
    start: Double = 0.0,
    operatingPoint: String? = null,
    contractSha256: String? = null,
    warn: (String) -> Unit = { System.err.println(it) }
) : Closeable {
    private val lock = Any()
    private val contract = Contract.read(readFile(CONTRACT_FILE, read), contractSha256)
    private val weights = operatingPoint?.let {
        oneOf(ErrorCode.UNKNOWN_OPERATING_POINT, "operating point", it, contract.operatingPoints)
    }
    private val runner = ModelRunner(
        contract.counting, oneOf(ErrorCode.UNKNOWN_PRECISION, "precision", precision, contract.precisions)
    )
    private var open = true
    private var aligner = Aligner(contract, checked("start", start))
    private var tracker = CoverageTracker(contract)
    private var recent = nothing() // values of the newest window by channel

    init {
        try {
            runner.load(read)
        } catch (error: StagerException) {
            runner.close()
            throw error
        }
        if (simulated) warn("SleepStager: trained on simulated nights: its stages say nothing about people")
    }

    /** Whether the model was trained on simulated nights: its stages say nothing about people then. */
    public val simulated: Boolean get() = contract.simulated

    /** s from stage to stage. */
    public val strideSeconds: Int get() = contract.stride

    /** Number of samples dropped, by sensor and reason. */
    public val dropped: Map<Sensor, Map<DropReason, Int>> get() = alone { aligner.dropped }

    /** Descriptions of what seems wrong with the sensors' units. */
    public val findings: List<String> get() = alone { aligner.findings }

    /**
     * Begin a night at [start] (s), and forget the one before.
     *
     * @throws StagerException NOT_A_TIME.
     */
    public fun reset(start: Double) {
        alone {
            aligner = Aligner(contract, checked("start", start))
            tracker = CoverageTracker(contract)
            recent = nothing()
            runner.reset()
        }
    }

    /**
     * Take one sample: [value] is x, y, z of motion, else a number. [t]: s. A sample closes the windows that end before
     * it; later samples for a closed window are dropped.
     *
     * @throws StagerException WRONG_VALUE_COUNT, TIME_BEYOND_NIGHT; the sample is not taken then.
     */
    public fun feed(sensor: Sensor, t: Double, vararg value: Double) {
        if (value.size != sensor.valueCount) {
            val values = "${value.size} values, expected ${sensor.valueCount}"
            fail(ErrorCode.WRONG_VALUE_COUNT, "${sensor.id}: $values")
        }
        alone { aligner.feed(sensor, t, value) }
    }

    /** Take one sample. */
    public fun feed(sample: Sample): Unit = feed(sample.sensor, sample.t, *sample.values)

    /**
     * Epochs of the closed windows. [now]: s, a time up to which all sensors have delivered; null for the
     * windows that samples have closed.
     *
     * @throws StagerException NOT_A_TIME, TIME_BEYOND_NIGHT.
     */
    public fun take(now: Double? = null): List<Epoch> = alone {
        if (now != null) aligner.advance(checked("now", now))
        val epochs = ArrayList<Epoch>()
        while (aligner.pending.isNotEmpty()) epochs.add(epoch(aligner.pending.remove()))
        epochs
    }

    private fun epoch(stride: Stride): Epoch {
        val counts = stride.motion?.let { mapOf("activity" to runner.counts(it)) } ?: emptyMap()
        recent = recent.mapValues { (name, values) ->
            val newest = counts[name] ?: stride.newest.getValue(name)
            values.copyOfRange(newest.size, values.size) + newest
        }
        val probabilities = weighed(runner.step(recent))
        var best = 0
        for (i in probabilities.indices) if (probabilities[i] > probabilities[best]) best = i
        val coverage = tracker.update(recent)
        val stage = if (tracker.unknown) Stage.UNKNOWN else Stage.SCORED[best]
        return Epoch(stride.time, contract.stride, stage, probabilities, coverage)
    }

    private fun weighed(probabilities: FloatArray): FloatArray {
        if (weights == null) return probabilities
        val weighed = FloatArray(probabilities.size) { probabilities[it] * weights[it] }
        val sum = weighed.sum()
        return FloatArray(weighed.size) { weighed[it] / sum }
    }

    /**
     * Run the model on one window, to replay a golden night: values by channel; other channels are
     * ignored. Returns the model's probabilities, without an operating point.
     *
     * @throws StagerException WRONG_VALUE_COUNT.
     */
    public fun step(window: Map<String, FloatArray>): FloatArray = alone {
        val values = contract.channels.associate { channel ->
            val found = window[channel.name]?.size ?: 0
            if (found != channel.values) {
                fail(ErrorCode.WRONG_VALUE_COUNT, "${channel.name}: $found values, expected ${channel.values}")
            }
            channel.name to window.getValue(channel.name)
        }
        runner.step(values)
    }

    /** The whole state, for [restore]. Save after [take]: epochs that it returned are not in it. */
    public fun save(): ByteArray = alone {
        val bytes = ByteArrayOutputStream()
        val out = DataOutputStream(bytes)
        out.writeUTF(runner.model)
        aligner.write(out)
        tracker.write(out)
        for (channel in contract.channels) out.writeFloats(recent.getValue(channel.name))
        runner.states.toSortedMap().values.forEach { out.writeFloats(it) }
        out.writeFloats(weights ?: FloatArray(0))
        out.writeLong(checksum(bytes.toByteArray(), bytes.size()))
        bytes.toByteArray()
    }

    /**
     * Resume from saved bytes, as if the stager had never stopped.
     *
     * @throws StagerException WRONG_STATE, and changes nothing, if another model saved them, or one at another
     * operating point, or if they are damaged.
     */
    public fun restore(saved: ByteArray) {
        alone {
            try {
                val from = DataInputStream(ByteArrayInputStream(saved))
                require(from.readUTF() == runner.model) { "of another model" }
                val content = saved.size - LONG_BYTES
                val checksum = DataInputStream(ByteArrayInputStream(saved, content, LONG_BYTES)).readLong()
                require(checksum == checksum(saved, content)) { "damaged" }
                fun values(size: Int): FloatArray {
                    require(count(from) == size) { "values are missing" }
                    return from.readFloats(size)
                }
                val aligner = Aligner.read(contract, from)
                val tracker = CoverageTracker(contract).read(from)
                val recent = contract.channels.associate { it.name to values(it.values) }
                val states = runner.states.toSortedMap().mapValues { values(it.value.size) }
                if (from.available() > LONG_BYTES) { // earlier states have no weights
                    val given = from.readFloats(count(from))
                    require(given.contentEquals(weights ?: FloatArray(0))) { "of another operating point" }
                }
                this.aligner = aligner
                this.tracker = tracker
                this.recent = recent
                runner.states = states
            } catch (error: Exception) { // bytes can be wrong in many ways
                fail(ErrorCode.WRONG_STATE, "not a state that this model saved (${error.message})", error)
            }
        }
    }

    /** Frees the runtime's memory, after a running call. Any other call then throws [IllegalStateException]. */
    override fun close() {
        synchronized(lock) {
            open = false
            runner.close()
        }
    }

    private inline fun <T> alone(work: () -> T): T = synchronized(lock) {
        check(open) { "this SleepStager is closed" }
        work()
    }

    private fun nothing() = contract.channels.associate { channel ->
        channel.name to FloatArray(channel.values) { channel.missing }
    }

    public companion object {
        /**
         * Epochs as segments of a health store: runs of equal value merged, without overlaps, with gaps where the stage
         * is unknown. [origin]: Unix time of t=0, if times are since the start of the recording.
         */
        public fun segments(
            epochs: List<Epoch>,
            zone: ZoneId = ZoneId.systemDefault(),
            store: HealthStore = HealthStore.HEALTH_CONNECT,
            origin: Double = 0.0
        ): List<Segment> = segmentsOf(epochs, zone, store, origin)

        /**
         * The zone of a name that comes from elsewhere: an IANA name, such as Europe/Berlin, or an offset, such as
         * +02:00.
         *
         * @throws StagerException UNKNOWN_ZONE.
         */
        public fun zoneOf(name: String): ZoneId = zoneNamed(name)

        private const val LONG_BYTES = 8

        private fun checked(what: String, t: Double): Double {
            if (!isFinite(t)) fail(ErrorCode.NOT_A_TIME, "$what=$t: expected a time in seconds")
            return t
        }

        private fun checksum(bytes: ByteArray, size: Int): Long = CRC32().also { it.update(bytes, 0, size) }.value
    }
}
