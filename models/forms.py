"""The two Keras forms of a network (models.network), and functions that run a step form over nights."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.network import Network
from pipeline.constants import PROBABILITIES

NIGHTS_AT_ONCE = 64  # nights predicted together

Tensors = dict[str, tf.Tensor]
Arrays = dict[str, np.ndarray]


def sequence_form(network: Network) -> keras.Model:
    """Keras functional model: features [B, T, F] -> stage probabilities [B, T, 5]."""
    x = keras.Input((None, network.features), name="features")
    return keras.Model(x, network.sequence(x), name=type(network).__name__.lower())


def step_form(network: Network) -> keras.Model:
    """Keras functional model: {features [B, F], state [B, ...]} -> {stage_probabilities [B, 5], state_out [B, ...]}."""
    inputs = {"features": keras.Input((network.features,), name="features")}
    inputs |= {name: keras.Input(shape, name=name) for name, shape in network.states.items()}
    states = {name: inputs[name] for name in network.states}
    probabilities, after = network.step(inputs["features"], states)
    return keras.Model(inputs, {PROBABILITIES: probabilities, **{f"{name}_out": x for name, x in after.items()}})


def padded(nights: Sequence[np.ndarray], value: float = 0) -> np.ndarray:
    """Nights [T, ...] as one batch [B, longest T, ...], padded at the end, which does not affect earlier windows."""
    longest = max(map(len, nights))
    return np.stack(
        [np.pad(x, [(0, longest - len(x))] + [(0, 0)] * (x.ndim - 1), constant_values=value) for x in nights]
    )


def predicted_nights(model: keras.Model, nights: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Predict nights by a network in sequence form, NIGHTS_AT_ONCE in memory at a time.

    Args:
        model: features [B, T, F] -> probabilities [B, T, 5].
        nights: Features of each night, [T, F].

    Yields:
        Probabilities of each night, [T, 5].
    """
    nights = iter(nights)
    while batch := list(islice(nights, NIGHTS_AT_ONCE)):
        for night, p in zip(batch, model.predict_on_batch(padded(batch)), strict=True):
            yield p[: len(night)]


def roll_network(network: Network, features: np.ndarray) -> tuple[np.ndarray, Arrays]:
    """Run the step form of a network over nights, from states of zero.

    Args:
        network: The network.
        features: [B, T, F].

    Returns:
        Probabilities [B, T, 5], and the states before each window {state: [B, T, ...]}.
    """
    model = step_form(network)

    def step(inputs, states):
        out = model(inputs | states, training=False)
        return {PROBABILITIES: out[PROBABILITIES]}, {name: out[f"{name}_out"] for name in states}

    start = {name: tf.zeros((len(features), *shape)) for name, shape in network.states.items()}
    out, before = roll(step, {"features": features}, start)
    return out[PROBABILITIES], before


def roll(
    step: Callable[[Tensors, Tensors], tuple[Tensors, Tensors]],
    inputs: Mapping[str, np.ndarray],
    states: Mapping[str, np.ndarray],
) -> tuple[Arrays, Arrays]:
    """Run a step form over nights.

    Args:
        step: (inputs {name: [B, ...]}, states {name: [B, ...]}) -> (outputs {name: [B, ...]}, states after them).
        inputs: {name: [B, T, ...]}.
        states: States before the first window, {name: [B, ...]}.

    Returns:
        Outputs {name: [B, T, ...]}, and the states before each window {name: [B, T, ...]}.
    """

    def with_states(inputs, states):
        outputs, after = step(inputs, states)
        return {"outputs": outputs, "before": states}, after

    out = roller(with_states)(inputs, states)
    return out["outputs"], out["before"]


def roller(step: Callable) -> Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], Any]:
    """A function that runs a step form over nights as `roll` does, but traced only once, and returns only the outputs.

    Args:
        step: As for `roll`; its outputs may be nested.
    """

    def swap(x):  # (B, T, ...) -> (T, B, ...), and back
        return tf.transpose(x, [1, 0, *range(2, len(x.shape))])

    @tf.function(autograph=False, reduce_retracing=True)
    def scan(inputs, states):
        def window(carried, now):
            outputs, after = step(now, carried["after"])
            return {"outputs": outputs, "after": after}

        outputs, _ = step({name: x[0] for name, x in inputs.items()}, states)  # only for their shapes
        empty = tf.nest.map_structure(tf.zeros_like, outputs)
        return tf.scan(window, inputs, {"outputs": empty, "after": states})["outputs"]

    def rolled(inputs, states):
        by_time = {name: swap(tf.constant(x)) for name, x in inputs.items()}
        out = scan(by_time, {name: tf.constant(x) for name, x in states.items()})
        return tf.nest.map_structure(lambda x: swap(x).numpy(), out)

    return rolled
