"""How to run a bundle, in words: the contract carries these paragraphs for authors of other runtimes."""

from pipeline.constants import GRACE_S

PARAGRAPHS = {
    "windows": """
        Time 0 is the start of the recording. Window k (from 0) ends at t = (k + 1) * seconds.stride and holds
        the values of the last seconds.window, oldest first; values before time 0 are missing. Each value of a
        channel covers seconds_per_value. If a channel's sensor is absent, all its values are missing.
    """,
    "mean": """
        The mean of the samples in [t, t + seconds_per_value); missing if there are none.
    """,
    "sum": f"""
        The sum of the bins that end in (t, t + seconds_per_value], where the end of a bin is taken to be {GRACE_S} s
        earlier than it is; missing if there are none.
    """,
    "activity": """
        One bin per 15 s: activity counts as te Lindert & Van Someren (Sleep 2013) define them, from the z axis.
    """,
    "preprocessing": """
        Computes the channel of its name from raw motion, for phones without activity counts. It is called
        stride / call_seconds times per window, in order of time, before the window's own calls; its states carry
        over from call to call. Point i of the call_seconds that begin at s stands for time s + i / hz. The deadline
        of a point is grace_seconds after the end of its 15 s bin (bins count from time 0). The value of a point is
        interpolated linearly between the sample before it and the sample at or after it. If the later sample's time
        is past the deadline, or it has not arrived when the window closes, the earlier sample's value is held. If
        the later sample's time or the deadline, whichever is earlier, is more than gap_seconds after the earlier
        sample, or if there is no earlier sample, then x, y and z are missing. Each output with a 'to' gives the
        channel's newest values, in the order of the calls.
    """,
    "operating_points": """
        To favour a stage, multiply the probabilities by the weights of an operating point and divide by their sum.
        Then take the most likely stage, or add up stages for coarser views.
    """,
    "order": f"""
        Samples may arrive in any order, of several sensors mixed, one at a time or in batches. An event at t closes the
        windows that end before t - {GRACE_S}; a clock may close those that have ended by now. These samples are
        dropped, and counted by reason: values that are not numbers; values out of range; samples that come late,
        which are those of a closed window or from before the start; samples with the sensor and time of one already
        taken (the first one counts); and motion in another unit. For activity counts, motion that is older than the
        newest is skipped. As soon as activity counts are fed, motion is no longer counted, not even in windows that
        are still open. If a clock is set back, samples are late until it has caught up, so use a clock that is never
        set. In a gap, even one of hours, all windows are missing. Daylight saving changes nothing, as times are
        instants.
    """,
    "coverage": """
        For each sensor after each window: the share of the strides in the last coverage_seconds (or in the night so
        far, if that is shorter) whose newest values include one, and the seconds from its newest value to the end of
        the window.
    """,
    "unknown": """
        No stage is given if heart rate has been absent for at least absent_seconds, and either raw motion and
        activity have been absent as long, or nothing has moved for at least off_wrist_seconds
        (off_wrist_blind_seconds if there has never been heart rate). A sensor without any value so far counts as
        absent for ever. There was movement in a stride if a count of activity or steps in it is above 0 or, for a
        model with motion but no activity, if motion was sensed. If nothing has moved yet, the time without movement
        runs from the start if there has been heart rate, and is unlimited otherwise. The calls are made all the
        same, so that the states carry on.
    """,
    "input_guard": """
        Checks a sensor's samples of its first first_seconds; for motion, until least_samples are in range or as many
        are out of it. If more than half are out of range, that is a finding. If at least least_samples of motion are
        in range and their median magnitude lies outside gravity_g, that is a finding, and all motion from then on is
        dropped.
    """,
    "calls": """
        For every window, make the calls in order. An input is taken 'from' a channel of this window, an 'output' of
        an earlier call in this window, or a 'state'. After the last call, each output with a 'to' becomes that state.
        At the start of the night, states have their 'initial' value (0 means all zeros).
    """,
}
HOW = {subject: " ".join(text.split()) for subject, text in PARAGRAPHS.items()}
