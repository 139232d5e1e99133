"""How to run a bundle, in words: the contract carries these paragraphs for authors of other runtimes."""

from pipeline.constants import GRACE_S

PARAGRAPHS = {
    "windows": """
        Time 0 is the start of the recording. Window k (from 0) ends at t = (k + 1) * seconds.stride and holds
        the values of the last seconds.window, oldest first; those before time 0 are missing. Values of a
        channel cover seconds_per_value each. A channel whose sensor is absent is all missing.
    """,
    "mean": """
        Mean of the samples sensed in [t, t + seconds_per_value); missing if there is none.
    """,
    "sum": f"""
        Sum of the bins that end in (t, t + seconds_per_value], a bin's end being taken {GRACE_S} s early;
        missing if there is none.
    """,
    "activity": """
        One bin per 15 s: activity count of te Lindert & Van Someren (Sleep 2013) of the z axis.
    """,
    "preprocessing": """
        Makes the channel of its name out of raw motion, for phones without activity counts: stride / call_seconds
        times per window, in the order of time, before the calls of the window; states go on from call to call.
        Point i of the call_seconds that begin at s stands for s + i / hz. Its value
        lies on the line between the sample before it and the one at or after it. If that one comes later than
        grace_seconds past the end of the point's 15 s (from time 0), or has not come when the window closes,
        the sample before is held. Where more than gap_seconds lie between the sample before and the earlier of
        those two times, or there is none before, x, y and z are missing. The outputs 'to' the
        channel are its newest values, in the order of the calls.
    """,
    "operating_points": """
        To favour a stage: multiply the probabilities by the weights of an operating point, divide by their sum,
        then take the likeliest, or sum into coarser views.
    """,
    "order": f"""
        Samples may come in any order, of several sensors mixed, one by one or in batches. An event at t closes
        the windows that end before t - {GRACE_S}; a clock may close those that end by now. Dropped, and counted
        by reason: what is not a number; what is out of range; what comes late, for a window that is closed or
        before the start; what repeats sensor and time of a sample that was taken (the first counts); motion in
        another unit. For activity counts motion earlier than the newest is left out. Once activity counts are
        fed, motion no longer counts, in the windows that are open either. A clock set back: samples are late
        until it has caught up, so use one that is never set. A gap, of hours too: its windows are all missing.
        Daylight saving changes nothing, as times are instants.
    """,
    "coverage": """
        Of each sensor after each window: the share of the strides of the last coverage_seconds (of the night so
        far, if it is shorter) whose newest values hold one, and the seconds from its newest value to the end of
        the window.
    """,
    "unknown": """
        No stage is given where heart rate has been absent for absent_seconds or more and either raw motion and
        activity have been absent as long, or nothing has moved for off_wrist_seconds or more
        (off_wrist_blind_seconds where there has never been heart rate). Never sensed is absent for ever. A
        stride moved if a count of activity or steps in it is above 0; for a model with motion but no activity,
        if motion was sensed. Where nothing has moved yet: since the start if there has been heart rate, else
        for ever. The calls are made all the same, so that states go on.
    """,
    "input_guard": """
        On the samples of a sensor's first first_seconds, of motion until least_samples are in range, or as many
        out of it: where more than half lie out of range, that is a finding; where least_samples of motion and
        more are in range and their median magnitude lies outside gravity_g, all motion after them is dropped,
        and that is a finding.
    """,
    "calls": """
        For every window, make the calls in order. An input comes 'from' a channel of this window, an 'output'
        of an earlier call in this window, or a 'state'. After the last call each output with a 'to' becomes
        that state. States start the night at their 'initial' value (0 means all zeros).
    """,
}
HOW = {subject: " ".join(text.split()) for subject, text in PARAGRAPHS.items()}
