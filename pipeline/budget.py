"""A training's batch size, learning rate, steps and variants, scaled by its number of nights.

Up to USUAL_NIGHTS they are those of the options. With x times as many nights, the batch grows with x^(1/3), the
learning rate with the square root of that (Adam's noise scale: Malladi et al. 2022, NeurIPS), and a night has x^(1/4)
times fewer variants, because more wearers bring variety themselves. An epoch has at most MOST_STEPS times the steps of
USUAL_NIGHTS: from about 340 nights on it is a fixed number of steps rather than a pass over all nights.
"""

from dataclasses import dataclass

from pipeline.options import Options

USUAL_NIGHTS = 31
MOST_STEPS = 4


@dataclass(frozen=True)
class Budget:
    """The size of a training.

    Attributes:
        batch_size: Nights per step.
        lr: Highest learning rate.
        steps: Steps per epoch.
        steps_per_pass: Steps to go through every night once.
        variants: Varied copies of each night.
    """

    batch_size: int
    lr: float
    steps: int
    steps_per_pass: int
    variants: int


def budget(options: Options, nights: int) -> Budget:
    """The Budget for a number of training nights.

    Args:
        options: Options of the run; with `unscaled` they are used as they are for any number of nights.
        nights: Number of training nights.
    """
    times = 1.0 if options.unscaled else max(1.0, nights / USUAL_NIGHTS)
    batch_size = round(options.batch_size * times ** (1 / 3))
    steps_per_pass = -(-nights // batch_size)
    most = MOST_STEPS * -(-USUAL_NIGHTS // options.batch_size)
    return Budget(
        batch_size,
        options.lr * (batch_size / options.batch_size) ** 0.5,
        steps_per_pass if times == 1 else min(steps_per_pass, most),
        steps_per_pass,
        max(min(1, options.variants), round(options.variants / times**0.25)),
    )
