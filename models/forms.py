"""Assembling a network's two forms, and mapping a step form over nights.

A network is an object with `features` (their number), `states` {name: shape} and a call
`(x, states=None) -> (probabilities, states)`: x [B, T, F] without states is the sequence form, x [B, F] with states the
step form, through the same layers.
"""

import keras
import numpy as np
import tensorflow as tf

from pipeline.options import PROBABILITIES


def sequence_form(network):
    """Keras functional model: features [B, T, F] -> stage probabilities [B, T, 5]."""
    x = keras.Input((None, network.features), name="features")
    return keras.Model(x, network(x)[0], name=type(network).__name__.lower())


def step_form(network):
    """Keras functional model: {features [B, F], state [B, ...]} -> {stage_probabilities [B, 5], state_out [B, ...]}."""
    inputs = {"features": keras.Input((network.features,), name="features")}
    inputs |= {name: keras.Input(shape, name=name) for name, shape in network.states.items()}
    states = {name: inputs[name] for name in network.states}
    probabilities, after = network(inputs["features"], states)
    return keras.Model(inputs, {PROBABILITIES: probabilities, **{f"{name}_out": x for name, x in after.items()}})


def padded(nights, value=0):
    """Nights of [T, ...] as one batch [B, longest T, ...], filled up at the end: nothing earlier sees it."""
    longest = max(map(len, nights))
    return np.stack(
        [np.pad(x, [(0, longest - len(x))] + [(0, 0)] * (x.ndim - 1), constant_values=value) for x in nights]
    )


def roll_network(network, features):
    """Step form over nights: features [B, T, F] -> (probabilities [B, T, 5], states before each window [B, T, ...])."""
    model = step_form(network)

    def one(inputs, states):
        out = model(inputs | states, training=False)
        return {PROBABILITIES: out[PROBABILITIES]}, {name: out[f"{name}_out"] for name in states}

    start = {name: tf.zeros((len(features), *shape)) for name, shape in network.states.items()}
    out, before = roll(one, {"features": features}, start)
    return out[PROBABILITIES], before


def roll(step, inputs, states):
    """Map a step form over nights.

    step: (inputs {name: [B, ...]}, states {name: [B, ...]}) -> (outputs, states). inputs: {name: [B, T, ...]}; states:
    {name: [B, ...]} before the first window. Returns (outputs {name: [B, T, ...]}, states before each window likewise),
    as numpy arrays.
    """

    def swap(x):  # time first, and back
        return tf.transpose(x, [1, 0, *range(2, len(x.shape))])

    @tf.function(autograph=False)
    def run(inputs, states):
        def one(carried, now):
            outputs, after = step(now, carried["after"])
            return {"outputs": outputs, "before": carried["after"], "after": after}

        outputs, _ = step({name: x[0] for name, x in inputs.items()}, states)
        empty = {name: tf.zeros_like(x) for name, x in outputs.items()}
        return tf.scan(one, inputs, {"outputs": empty, "before": states, "after": states})

    inputs = {name: swap(tf.constant(x)) for name, x in inputs.items()}
    out = run(inputs, {name: tf.constant(x) for name, x in states.items()})
    return tuple({name: swap(x).numpy() for name, x in out[kind].items()} for kind in ("outputs", "before"))
