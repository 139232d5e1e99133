"""The recurrent networks against their formulas in plain numpy, float64."""

import keras
import numpy as np
import pytest
from keras import layers

from models.forms import sequence_form
from models.gru import GRU
from models.lstm import LSTM, CoupledLSTMCell
from models.rnn import RNN

FEATURES, HIDDEN, WINDOWS = 5, 6, 40


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn_step(x, states, kernel, recurrent, bias):
    (hidden,) = states
    return [np.tanh(x @ kernel + hidden @ recurrent + bias)]


def gru_step(x, states, kernel, recurrent, bias):
    """Keras's GRU, reset after the product. Gates in its order: update, reset, candidate."""
    (hidden,) = states
    inputs, carried = x @ kernel + bias[0], hidden @ recurrent + bias[1]
    update, reset = (sigmoid(np.split(inputs, 3)[i] + np.split(carried, 3)[i]) for i in (0, 1))
    candidate = np.tanh(np.split(inputs, 3)[2] + reset * np.split(carried, 3)[2])
    return [update * hidden + (1 - update) * candidate]


def lstm_step(x, states, kernel, recurrent, bias):
    """Greff et al. 2017, CIFG: input gate 1 - forget gate."""
    hidden, cell = states
    forget, output, value = np.split(x @ kernel + hidden @ recurrent + bias, 3)
    cell = sigmoid(forget) * cell + (1 - sigmoid(forget)) * np.tanh(value)
    return [sigmoid(output) * np.tanh(cell), cell]


@pytest.mark.parametrize("network, step", [(RNN, rnn_step), (GRU, gru_step), (LSTM, lstm_step)])
def test_sequence_form_is_the_formula(network, step):
    keras.utils.set_random_seed(0)
    network, rng = network(FEATURES, HIDDEN), np.random.default_rng(0)
    model = sequence_form(network)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    x = rng.normal(0, 1, (1, WINDOWS, FEATURES)).astype(np.float32)
    squeeze, memory, stages = (
        [np.array(w, np.float64) for w in layer.weights] for layer in (network.squeeze, network.memory, network.stages)
    )
    states, expected = [np.zeros(HIDDEN) for _ in network.state_names], []
    for window in x[0]:
        states = step(np.tanh(window @ squeeze[0] + squeeze[1]), states, *memory)
        odds = np.exp(states[0] @ stages[0] + stages[1])
        expected.append(odds / odds.sum())
    assert np.abs(model.predict_on_batch(x)[0] - expected).max() <= 1e-5


@pytest.mark.parametrize("network, names", [(RNN, ["hidden"]), (GRU, ["hidden"]), (LSTM, ["hidden", "cell"])])
def test_states(network, names):
    assert network(FEATURES, HIDDEN).states == dict.fromkeys(names, (HIDDEN,))


def test_cell_of_the_lstm_stays_within_one():
    """However long the night and however strong the features: one 8-bit scale must do."""
    layer = layers.RNN(CoupledLSTMCell(HIDDEN), return_state=True)
    rng = np.random.default_rng(0)
    *_, cell = layer(rng.normal(0, 30, (2, 400, FEATURES)).astype(np.float32))
    assert 0.5 < np.abs(cell).max() <= 1


def test_lstm_begins_by_remembering():
    network = LSTM(FEATURES, HIDDEN)
    sequence_form(network)
    forget, output, value = np.split(np.array(network.memory.cell.bias), 3)
    assert (forget == 1).all()
    assert (output == 0).all()
    assert (value == 0).all()


def test_cell_goes_through_its_config():
    cell = CoupledLSTMCell.from_config(CoupledLSTMCell(HIDDEN, name="memory").get_config())
    assert (cell.units, cell.state_size, cell.name) == (HIDDEN, [HIDDEN, HIDDEN], "memory")
