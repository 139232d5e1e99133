"""Agreement of our stages with a device's own."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from scoring.device_agreement import ALL, device_agreement

OURS = ["Wake", "N1", "N2", "N3", "REM", "Unknown", "N2", "Wake"]
DEVICE = ["Wake", "Light", "Light", "Light", "REM", "Deep", "", "Sleep"]


def test_stages_that_both_sides_know_are_compared():
    row = device_agreement({"a": (OURS, DEVICE)}).loc["a"]
    assert row["epochs"] == 5 and row["epochs, 2 classes"] == 6
    one = ["Wake", "Light", "Light", "Deep", "REM"]
    assert row["kappa"] == pytest.approx(cohen_kappa_score(one, DEVICE[:5]))
    shares = row[["Wake", "Light", "Deep", "REM"]].tolist()
    assert shares == pytest.approx([1, 2 * 2 / (2 + 3), 0, 1])
    assert row["kappa, 2 classes"] == pytest.approx(cohen_kappa_score([1, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0]))


def test_it_does_not_matter_which_side_is_which():
    """Neither is the truth."""
    rng = np.random.default_rng(0)
    one, other = (rng.choice(["Wake", "N2", "N3", "REM"], 200) for _ in range(2))
    names = {"Wake": "Wake", "N2": "Light", "N3": "Deep", "REM": "REM"}
    table = device_agreement(
        {"a": (one, [names[s] for s in other]), "b": (other, [names[s] for s in one])},
    )
    np.testing.assert_allclose(table.loc["a"], table.loc["b"])
    assert table.loc[ALL, "epochs"] == 400


@pytest.mark.parametrize(
    ("ours", "device", "epochs"),
    [(["Unknown"], ["Deep"], 0), (["N2"], [""], 0), (["N2", "Wake"], ["Sleep", "Sleep"], 2)],
)
def test_nothing_to_agree_on_is_no_figure(ours, device, epochs):
    row = device_agreement({"a": (ours, device)}).loc["a"]
    assert row["epochs"] == 0 and row["epochs, 2 classes"] == epochs
    assert row[["kappa", "Wake", "Light", "Deep", "REM"]].isna().all()
