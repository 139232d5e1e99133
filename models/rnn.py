"""SimpleRNN network."""

from keras import layers

from models.recurrent import Recurrent


class RNN(Recurrent):
    """One keras.layers.SimpleRNN over the night."""

    def recurrent_layer(self, hidden):
        """keras.layers.SimpleRNN."""
        return layers.SimpleRNN(hidden, return_sequences=True, name="memory")
