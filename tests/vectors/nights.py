"""What happens on a wrist, as samples (sensor, t in s from the start, value) for the test vectors."""

import numpy as np

MINUTE, HOUR = 60, 3600  # s
GRAVITY = 9.80665  # m/s2 in a g


def heart_rate(rng, begin, end, every=5):
    t = np.arange(begin, end, every) + rng.uniform(0, 0.8 * every, len(np.arange(begin, end, every)))
    return [("heart_rate", round(float(x), 3), round(rng.uniform(45, 75), 1)) for x in t]


def counts(rng, begin, end):
    values = [0, 0, 12.5, 80]
    return [("activity", float(t), float(rng.choice(values))) for t in np.arange(begin + 15, end + 1, 15)]


def steps(rng, begin, end):
    return [("steps", float(t), float(rng.choice([0, 0, 7]))) for t in np.arange(begin + 30, end + 1, 30)]


def motion(rng, begin, end, unit=1.0, restless=0.3, hz=5):
    """Motion of a wrist that moves in `restless` of its ten seconds. unit: what a g is given as."""
    t = np.arange(begin, end, 1 / hz)
    moving = (rng.random(len(t) // (10 * hz) + 1) < restless).repeat(10 * hz)[: len(t), None]
    xyz = unit * (np.array([0.1, -0.2, 0.97]) + moving * rng.normal(0, 0.3, (len(t), 3)))
    return [("motion", round(float(x), 3), np.round(v, 3).tolist()) for x, v in zip(t, xyz, strict=True)]


def in_order(*streams):
    return sorted((event for stream in streams for event in stream), key=lambda event: event[1])


def wrist(rng, begin, end):
    return in_order(heart_rate(rng, begin, end), counts(rng, begin, end))


def gap(rng):
    return [*wrist(rng, 0, 8 * MINUTE), *wrist(rng, 3 * HOUR, 3 * HOUR + 5 * MINUTE)]


def duplicates(rng):
    """A quarter of the samples come again a little later, with another value."""
    fed = wrist(rng, 0, 15 * MINUTE)
    for i in sorted(rng.choice(len(fed) - 5, len(fed) // 4), reverse=True):
        sensor, t, value = fed[i]
        fed.insert(i + int(rng.integers(1, 5)), (sensor, t, value + 1))
    return fed


def disorder(rng):
    """Some samples come before others, some a minute late, some from before the start; some are no good."""
    fed = wrist(rng, -MINUTE, 20 * MINUTE)
    delays = rng.choice([0, 0, 0, 20, 70], len(fed))
    fed = [event for _, event in sorted(zip(delays, fed, strict=True), key=lambda pair: pair[0] + pair[1][1])]
    odd = [float("nan"), float("inf"), float("-inf"), 0.0, -1.0, 1e6]
    fed = [(s, t, float(rng.choice(odd)) if rng.random() < 0.1 else x) for s, t, x in fed]
    return [*fed[:50], ("heart_rate", float("nan"), 60.0), ("activity", float("inf"), 3.0), *fed[50:]]


def batches(rng):
    """Each sensor delivers a minute at a time."""
    streams = heart_rate(rng, 0, 5 * MINUTE), motion(rng, 0, 5 * MINUTE)
    minutes = range(0, 5 * MINUTE, MINUTE)
    return [event for m in minutes for stream in streams for event in stream if m <= event[1] < m + MINUTE]


def clock_jumps(rng):
    """An hour ahead, half an hour back, then on."""
    first, last = wrist(rng, 0, 10 * MINUTE), wrist(rng, HOUR, 1.2 * HOUR)
    return [*first, *last, *wrist(rng, 0.7 * HOUR, 1.3 * HOUR)]


def metres_per_second_squared(rng):
    return motion(rng, 0, 3 * MINUTE, unit=GRAVITY, restless=0, hz=2)


def milli_g(rng):
    """Also heart rate in milliseconds from beat to beat: all out of range."""
    beats = [(s, t, round(60_000 / x, 1)) for s, t, x in heart_rate(rng, 0, 3 * MINUTE)]
    return in_order(beats, motion(rng, 0, 3 * MINUTE, unit=1000, restless=0, hz=2))


def beats_per_second(rng):
    beats = [(s, t, round(x / 60, 4)) for s, t, x in heart_rate(rng, 0, 12 * MINUTE)]
    return in_order(beats, counts(rng, 0, 6 * MINUTE))


def without_gravity(rng):
    return in_order(
        heart_rate(rng, 0, 3 * MINUTE),
        [(s, t, [x - 0.05, y + 0.25, z - 0.95]) for s, t, (x, y, z) in motion(rng, 0, 3 * MINUTE, restless=0, hz=2)],
    )


def counts_after_motion(rng):
    return in_order(motion(rng, 0, 7 * MINUTE), counts(rng, 4 * MINUTE, 7 * MINUTE))


def table(rng):
    """Worn with heart rate, then taken off and laid on a table, where it lies still."""
    still = [("activity", float(t), 0.0) for t in range(6 * MINUTE + 15, 50 * MINUTE, 15)]
    return [*wrist(rng, 0, 6 * MINUTE), *still]


def table_without_heart_rate(_):
    return [("activity", float(t), 0.0) for t in range(15, int(2.2 * HOUR), 15)]


def everything(rng):
    """All sensors, with holes of a second, of half a minute and of two minutes in motion."""
    holes = [(40, 41.3), (100, 130), (200, 320)]
    moved = [e for e in motion(rng, 0, 7 * MINUTE) if not any(a < e[1] < b for a, b in holes)]
    return in_order(heart_rate(rng, 0, 7 * MINUTE), steps(rng, 0, 7 * MINUTE), moved)


def edges(rng):
    """Samples and bins at the very ends of windows and bins, and one bit beside them."""
    ends = np.add.outer(15.0 * np.arange(1, 13), [0, 0.1, 0.02, -0.02]).ravel()
    ends = np.sort(np.concatenate([ends, np.nextafter(ends, np.inf), np.nextafter(ends, -np.inf)]))
    return in_order(
        [("heart_rate", float(t), round(rng.uniform(45, 75), 1)) for t in ends],
        [("activity", float(t), float(rng.choice([0, 12.5, 80]))) for t in ends[::5]],
    )
