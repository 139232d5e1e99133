"""What the three recurrent networks share: dense, one recurrent layer, dense. Each has a file of its own."""

from keras import layers

from pipeline.options import STAGES


class Recurrent:
    """features -> dense -> recurrent layer -> dense -> stage probabilities.

    A subclass names its states and makes its Keras layer, whose `cell` is the step form.
    """

    state_names = ("hidden",)

    def __init__(self, features, hidden):
        self.features = features
        self.states = dict.fromkeys(self.state_names, (hidden,))
        self.noise = layers.GaussianNoise(0.3)  # both act in training only
        self.drop = layers.Dropout(0.3)
        self.squeeze = layers.Dense(hidden, "tanh", name="squeeze")
        self.memory = self.recurrent_layer(hidden)
        self.stages = layers.Dense(len(STAGES), "softmax", name="stages")

    def __call__(self, x, states=None):
        """x: [B, T, F], or [B, F] with states {name: [B, hidden]} -> probabilities [B, (T,) 5], states."""
        x = self.drop(self.squeeze(self.noise(x)))
        if states is None:
            x, after = self.memory(x), None
        else:
            x, after = self.memory.cell(x, [states[name] for name in self.state_names])
            after = dict(zip(self.state_names, after, strict=True))
        return self.stages(self.drop(x)), after
