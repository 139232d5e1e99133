"""LSTM network."""

from keras import layers

from models.recurrent import Recurrent


class LSTM(Recurrent):
    """One keras.layers.LSTM over the night."""

    state_names = ("hidden", "cell")

    def recurrent_layer(self, hidden):
        return layers.LSTM(hidden, return_sequences=True, name="memory")
