"""Base class of the three recurrent networks: dense layer, one recurrent layer, dense layer."""

from keras import layers

from models.network import Network


class Recurrent(Network):
    """features -> dense -> recurrent layer -> dense -> stage probabilities.

    A subclass names its states and creates its Keras layer, whose `cell` is the step form.
    """

    state_names = ("hidden",)

    def make_body(self, hidden):
        """One recurrent layer, and a state [B, hidden] for each of `state_names`."""
        self.states = dict.fromkeys(self.state_names, (hidden,))
        self.memory = self.recurrent_layer(hidden)

    def recurrent_layer(self, hidden: int) -> layers.Layer:
        """The Keras layer: [B, T, hidden] -> [B, T, hidden]; its `cell` takes one window and a list of states."""
        raise NotImplementedError

    def sequence(self, x):
        """Features [B, T, F] -> probabilities [B, T, 5]."""
        return self.stages(self.drop(self.memory(self.enter(x))))

    def step(self, x, states):
        """Features [B, F], states {name: [B, hidden]} -> probabilities [B, 5], states after the window."""
        x, after = self.memory.cell(self.enter(x), [states[name] for name in self.state_names])
        return self.stages(self.drop(x)), dict(zip(self.state_names, after, strict=True))
