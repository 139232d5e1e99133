"""Live tokens: a state comes back to the last bit, and nothing else than what was issued is taken."""

import base64
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watch_sim.service import tokens
from watch_sim.service.tokens import NightUnderWay, TokenRefused, Tokens, pack, unpack

DIGESTS = {"gru": b"g" * 16, "lstm": b"l" * 16}
ARRAYS = {
    "empty": np.empty(0),
    "scalar": np.array(3),
    "text": np.array("heart rate: ½"),
    "state": np.array([[1e-45, -0.0, np.inf, np.nan]], np.float32),
    "flags": np.array([True, False]),
}


@pytest.fixture
def issuer():
    return Tokens(b"k" * 32, DIGESTS)


@pytest.fixture
def night():
    return NightUnderWay("gru", "int8", None, ARRAYS)


def refused(issuer, token):
    with pytest.raises(TokenRefused) as refusal:
        issuer.read(token)
    return refusal.value.status


def test_a_state_comes_back_to_the_last_bit(issuer, night):
    back = issuer.read(issuer.issue(night))
    assert back[:3] == night[:3]
    assert [*back.arrays] == [*ARRAYS]
    for name, x in ARRAYS.items():
        assert (back.arrays[name].dtype, back.arrays[name].shape) == (x.dtype, x.shape)
        assert back.arrays[name].tobytes() == x.tobytes()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(width=32), max_size=5), st.text(max_size=9), st.sampled_from(["rem", None]))
def test_packed_and_unpacked(values, text, point):
    arrays = {"x": np.array(values, np.float32), text: np.array(text), "last": np.arange(6).reshape(2, 3)}
    back = unpack(pack(NightUnderWay("gru", "int8", point, arrays)))
    assert back.operating_point == point
    assert {name: x.tobytes() for name, x in back.arrays.items()} == {k: x.tobytes() for k, x in arrays.items()}


def test_any_bit_altered_is_refused(issuer, night):
    raw = base64.urlsafe_b64decode(issuer.issue(night))
    for bit in range(8 * len(raw)):
        altered = bytearray(raw)
        altered[bit // 8] ^= 1 << bit % 8
        assert refused(issuer, base64.urlsafe_b64encode(altered).decode()) == 422


def test_any_character_altered_is_refused(issuer, night):
    token = issuer.issue(night)
    for i, character in enumerate(token):
        for other in ("A", "B", "=", "+", "é", "\n", ""):
            if other != character:
                assert refused(issuer, token[:i] + other + token[i + 1 :]) == 422


@pytest.mark.parametrize("token", ["", "=", "A" * 76, "x" * 75, "\ud800", "A" * 500, " ", "null"])
def test_what_is_no_token(issuer, token):
    assert refused(issuer, token) == 422


def test_another_key_another_model_another_version(issuer, night, monkeypatch):
    token = issuer.issue(night)
    assert refused(Tokens(b"other" * 8, DIGESTS), token) == 422
    assert refused(Tokens(b"k" * 32, {"gru": b"x" * 16}), token) == 409
    assert refused(Tokens(b"k" * 32, {"lstm": b"g" * 16}), token) == 409
    monkeypatch.setattr(tokens, "FORMAT", tokens.FORMAT + 1)
    assert refused(issuer, token) == 409


@pytest.mark.parametrize(
    ("seconds", "status"), [(tokens.MAX_AGE_S - 60, None), (tokens.MAX_AGE_S + 60, 410), (-60, None), (-3600, 410)]
)
def test_a_token_has_an_age(issuer, night, monkeypatch, seconds, status):
    token, now = issuer.issue(night), time.time()
    monkeypatch.setattr(tokens.time, "time", lambda: now + seconds)
    if status:
        assert refused(issuer, token) == status
    else:
        assert issuer.read(token).architecture == "gru"


@pytest.mark.parametrize(
    "taken", [np.random.default_rng(0).random(200_000), np.zeros(2**20)], ids=["long", "compressed"]
)
def test_too_much_under_way_gives_no_token(issuer, taken):
    with pytest.raises(TokenRefused, match="still open"):
        issuer.issue(NightUnderWay("gru", "int8", None, {"taken": taken}))
