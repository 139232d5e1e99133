"""The two Keras forms of a network (models.network), and mapping a step form over nights."""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from models.network import Network
from pipeline.constants import PROBABILITIES

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
    """Nights of [T, ...] as one batch [B, longest T, ...], filled up at the end: nothing earlier sees it."""
    longest = max(map(len, nights))
    return np.stack(
        [np.pad(x, [(0, longest - len(x))] + [(0, 0)] * (x.ndim - 1), constant_values=value) for x in nights]
    )


def roll_network(network: Network, features: np.ndarray) -> tuple[np.ndarray, Arrays]:
    """Step form of a network, rolled over nights from states of zero.

    Args:
        network: The network.
        features: [B, T, F].

    Returns:
        Probabilities [B, T, 5], and {state: [B, T, ...]} as it is before each window.
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
    """Map a step form over nights.

    Args:
        step: (inputs {name: [B, ...]}, states {name: [B, ...]}) -> (outputs {name: [B, ...]}, states after them).
        inputs: {name: [B, T, ...]}.
        states: {name: [B, ...]} before the first window.

    Returns:
        Outputs {name: [B, T, ...]}, and states {name: [B, T, ...]} as they are before each window.
    """

    def swap(x):  # (B, T, ...) -> (T, B, ...), and back
        return tf.transpose(x, [1, 0, *range(2, len(x.shape))])

    @tf.function(autograph=False)
    def scan(inputs, states):
        def window(carried, now):
            outputs, after = step(now, carried["after"])
            return {"outputs": outputs, "before": carried["after"], "after": after}

        outputs, _ = step({name: x[0] for name, x in inputs.items()}, states)  # only for their shapes
        empty = {name: tf.zeros_like(x) for name, x in outputs.items()}
        return tf.scan(window, inputs, {"outputs": empty, "before": states, "after": states})

    by_time = {name: swap(tf.constant(x)) for name, x in inputs.items()}
    out = scan(by_time, {name: tf.constant(x) for name, x in states.items()})
    return tuple({name: swap(x).numpy() for name, x in out[kind].items()} for kind in ("outputs", "before"))
