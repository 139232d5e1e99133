"""Base class of the four networks: input layer, training noise, output layer, and the two forms."""

from collections.abc import Mapping

from keras import KerasTensor, layers

from pipeline.constants import STAGES

INPUT_NOISE_SD = 0.3  # SD of noise on the standardised features, in training only
DROPOUT = 0.3  # share of activations, in training only


class Network:
    """Features of a window and of the night so far -> stage probabilities.

    Two forms share the layers: `sequence` takes whole nights, `step` one window and the states before it.

    Attributes:
        features: F, the number of features.
        states: {name: shape without the batch} of the states of the step form. All are zero before the night.
    """

    states: dict[str, tuple[int, ...]]

    def __init__(self, features: int, hidden: int):
        """Create the layers.

        Args:
            features: F, the number of features.
            hidden: D, the width of the hidden layers.
        """
        self.features = features
        # initial weights are drawn in the order in which layers are created: another order gives another training
        self.noise = layers.GaussianNoise(INPUT_NOISE_SD)
        self.drop = layers.Dropout(DROPOUT)
        self.squeeze = layers.Dense(hidden, "tanh", name="squeeze")
        self.make_body(hidden)
        self.stages = layers.Dense(len(STAGES), "softmax", name="stages")

    def make_body(self, hidden: int) -> None:
        """Create the layers between the first and the last dense layer, and set `states`."""
        raise NotImplementedError

    def enter(self, x: KerasTensor) -> KerasTensor:
        """Features [..., F] -> hidden values [..., D]."""
        return self.drop(self.squeeze(self.noise(x)))

    def sequence(self, x: KerasTensor) -> KerasTensor:
        """Sequence form: features [B, T, F] of whole nights -> probabilities [B, T, 5]."""
        raise NotImplementedError

    def step(self, x: KerasTensor, states: Mapping[str, KerasTensor]) -> tuple[KerasTensor, dict[str, KerasTensor]]:
        """Step form: features [B, F] of one window and {state: [B, ...]} -> probabilities [B, 5], states after it."""
        raise NotImplementedError
