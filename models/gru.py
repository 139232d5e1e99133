"""GRU network."""

from keras import layers

from models.recurrent import Recurrent


class GRU(Recurrent):
    """One keras.layers.GRU over the night."""

    def recurrent_layer(self, hidden):
        return layers.GRU(hidden, return_sequences=True, name="memory")
