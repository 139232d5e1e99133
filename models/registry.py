"""The networks by name."""

from models.gru import GRU
from models.lstm import LSTM
from models.rnn import RNN
from models.transformer import Transformer

NETWORKS = {"lstm": LSTM, "gru": GRU, "rnn": RNN, "transformer": Transformer}
