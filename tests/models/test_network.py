"""What all networks have in common."""

import keras
import numpy as np
import pytest

from models.forms import sequence_form
from models.network import DROPOUT, INPUT_NOISE_SD, Network
from models.registry import NETWORKS
from pipeline.constants import STAGES


@pytest.fixture(params=NETWORKS)
def network(request):
    keras.utils.set_random_seed(0)
    return NETWORKS[request.param](6, 8)


def test_noise_and_dropout_are_the_same_in_all(network):
    assert isinstance(network, Network)
    assert network.features == 6
    assert (network.noise.stddev, network.drop.rate) == (INPUT_NOISE_SD, DROPOUT)
    assert network.stages.units == len(STAGES)


def test_noise_and_dropout_act_in_training_only(network):
    model, x = sequence_form(network), np.ones((2, 20, 6), np.float32)
    assert np.array_equal(model(x, training=False), model(x, training=False))
    assert not np.array_equal(model(x, training=True), model(x, training=True))


def test_the_seed_decides_the_initial_weights(network):
    weights = sequence_form(network).get_weights()
    for seed, same in ((0, True), (1, False)):
        keras.utils.set_random_seed(seed)
        again = sequence_form(type(network)(6, 8)).get_weights()
        assert all(np.array_equal(x, y) for x, y in zip(weights, again, strict=True)) == same
