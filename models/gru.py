"""GRU network."""

from keras import layers

from models.recurrent import Recurrent


class GRU(Recurrent):
    """One keras.layers.GRU over the night (Cho et al. 2014, EMNLP)."""

    def recurrent_layer(self, hidden):
        """keras.layers.GRU."""
        return layers.GRU(hidden, return_sequences=True, name="memory")
