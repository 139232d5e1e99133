"""A run folder with its Keras models: sensing, networks, and their predictions."""

from collections.abc import Iterable, Sequence

import keras
import numpy as np

from models.forms import predicted_nights, roll_network, sequence_form
from models.network import Network
from models.registry import NETWORKS
from models.sensing import Sensing
from pipeline.errors import one_of
from pipeline.files import reading
from pipeline.run_folder import RunFolder

CALIBRATION_WINDOWS = 400  # windows of training nights for quantization
CALIBRATION_NIGHTS = 8  # number of the longest training nights that they are drawn from


class TrainedRun(RunFolder):
    """A RunFolder whose models can be loaded; needs TensorFlow."""

    def sensing(self) -> Sensing:
        """The sensing front end with the run's scaler."""
        return Sensing(self.options, self.channels, self.scaler)

    def model(self, architecture: str) -> keras.Model:
        """The trained Keras model, sequence form: features [B, T, F] -> probabilities [B, T, 5].

        Raises:
            UserMistake: The run lacks the architecture, or its file is missing or damaged.
        """
        one_of("--architectures", [architecture], self.options.architectures)
        path = self.existing(self.model_path(architecture).name)
        with reading(path):
            return keras.models.load_model(path, compile=False)

    def network(self, architecture: str) -> Network:
        """The network with its trained weights, for the step form.

        Raises:
            UserMistake: As `model`, or the weights are of another network.
        """
        network = NETWORKS[architecture](len(self.scaler["mean"]), self.options.hidden_dim)
        weights = self.model(architecture).get_weights()
        with reading(self.model_path(architecture)):
            sequence_form(network).set_weights(weights)
        return network

    def probabilities(self, architecture: str, features: Iterable[np.ndarray]) -> list[np.ndarray]:
        """Probabilities predicted by the Keras model.

        Args:
            architecture: One of the run's architectures.
            features: Features of each night, [windows, F].

        Returns:
            Probabilities of each night, [windows, 5].
        """
        return list(predicted_nights(self.model(architecture), features))

    def draw_calibration(self, features: Sequence[np.ndarray]) -> None:
        """Draw windows for quantization, with the states before them, and write them to the run.

        Args:
            features: Features of each training night, [windows, F].
        """
        nights = sorted(features, key=len)[-CALIBRATION_NIGHTS:]
        length = min(map(len, nights))
        batch = np.stack([night[:length] for night in nights])  # (nights, length, F)
        windows = len(nights) * length
        rng = np.random.default_rng(self.options.seed)
        drawn = np.sort(rng.choice(windows, min(CALIBRATION_WINDOWS, windows), replace=False))

        def draw(x):  # (nights, length, ...) -> (windows drawn, ...)
            return x.reshape(-1, *x.shape[2:])[drawn]

        states = {}
        for architecture in self.options.architectures:
            _, before = roll_network(self.network(architecture), batch)
            states[architecture] = {name: draw(x) for name, x in before.items()}
        self.write_calibration(draw(batch), states)
