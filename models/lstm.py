"""LSTM network with coupled input and forget gates.

A plain LSTM's cell state grows over hours of sleep, until one 8-bit scale is too coarse for it (as few as 95 % of
windows keep their stage). With coupled gates (CIFG: Greff et al. 2017, IEEE TNNLS 28(10), "LSTM: A Search Space
Odyssey", which finds it no worse) the cell state is a running average of values in [-1, 1] and stays in that range.
"""

import keras
from keras import layers, ops

from models.recurrent import Recurrent


@keras.saving.register_keras_serializable("wristsleep")
class CoupledLSTMCell(layers.Layer):
    """One step of the LSTM; input gate = 1 - forget gate.

    Input shape: x [B, F], states [hidden [B, U], cell [B, U]]. Output shape: hidden [B, U], [hidden, cell] after it.
    """

    def __init__(self, units: int, **kwargs):
        """Create a cell with U = `units` values."""
        super().__init__(**kwargs)
        self.units = self.output_size = units
        self.state_size = [units, units]

    def build(self, shape):
        """Create the weights of forget gate, output gate and value, concatenated."""

        def initial_bias(shape, dtype=None):  # 1 on the forget gate, so that the cell remembers at first
            return ops.concatenate([ops.ones(self.units), ops.zeros(2 * self.units)])

        width = 3 * self.units
        self.kernel = self.add_weight(shape=(shape[-1], width), name="kernel")
        self.recurrent = self.add_weight(shape=(self.units, width), initializer="orthogonal", name="recurrent")
        self.bias = self.add_weight(shape=(width,), initializer=initial_bias, name="bias")

    def call(self, x, states):
        """X [B, F], [hidden, cell] [B, U] -> hidden, [hidden, cell] after the window."""
        hidden, cell = states
        mixed = ops.matmul(x, self.kernel) + ops.matmul(hidden, self.recurrent) + self.bias  # (B, 3 U)
        forget, output, value = ops.split(mixed, 3, axis=-1)  # (B, U) each
        value = ops.tanh(value)
        cell = value + ops.sigmoid(forget) * (cell - value)  # = forget * cell + (1 - forget) * value
        hidden = ops.sigmoid(output) * ops.tanh(cell)
        return hidden, [hidden, cell]

    def get_config(self):
        """Configuration that Keras saves."""
        return {**super().get_config(), "units": self.units}


class LSTM(Recurrent):
    """One coupled LSTM over the night."""

    state_names = ("hidden", "cell")

    def recurrent_layer(self, hidden):
        """keras.layers.RNN of CoupledLSTMCell."""
        return layers.RNN(CoupledLSTMCell(hidden), return_sequences=True, name="memory")
