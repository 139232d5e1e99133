"""Agreement of our stages with those that a device predicted: of two estimates, not the accuracy of either."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import f1_score

from pipeline.constants import STAGES
from scoring.metrics import VIEWS, kappa

TITLE = "agreement with the device's stages, not accuracy: these nights were not scored"
COLUMN = "device_stage"  # of a table of predictions
FOUR = VIEWS["4"][0]  # the classes of devices
OURS = dict(zip(STAGES, np.take(FOUR, VIEWS["4"][1]), strict=True))  # stage -> class of devices
ALL = "all nights"


def device_agreement(nights: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> pd.DataFrame:
    """Agreement for each night and, if there are several, over all nights.

    Windows without a stage on either side are left out. A device's "Sleep", without a stage, counts only in the
    comparison of Wake and sleep.

    Args:
        nights: {subject: (our stages [windows], of STAGES or unknown; the device's [windows], of
            pipeline.device_stages.NAMES or "")}.

    Returns:
        DataFrame by subject: "epochs" with one of the four classes on both sides; their "kappa" (Cohen's); the specific
        agreement of each class, equal to F1 (Cicchetti & Feinstein 1990); and "epochs, 2 classes" and "kappa, 2
        classes" for Wake and sleep. NaN if there is nothing to compare.
    """
    pairs = {subject: (pd.Series(ours).map(OURS), pd.Series(device)) for subject, (ours, device) in nights.items()}
    if len(pairs) > 1:
        pairs[ALL] = tuple(pd.concat(side, ignore_index=True) for side in zip(*pairs.values(), strict=True))
    table = pd.DataFrame({subject: _row(*pair) for subject, pair in pairs.items()}).T
    return table.astype({name: int for name in table if name.startswith("epochs")}).rename_axis("subject")


def _row(ours: pd.Series, device: pd.Series) -> dict[str, float]:
    both = ours.notna() & device.isin(FOUR)
    shares = f1_score(device[both], ours[both], labels=FOUR, average=None, zero_division=np.nan) if both.any() else []
    either = ours.notna() & (device != "")
    return {
        "epochs": both.sum(),
        "kappa": _kappa(ours[both], device[both]),
        **dict.fromkeys(FOUR, np.nan),
        **dict(zip(FOUR, shares, strict=False)),
        "epochs, 2 classes": either.sum(),
        "kappa, 2 classes": _kappa(ours[either] == "Wake", device[either] == "Wake"),
    }


def _kappa(ours: Sequence, device: Sequence) -> float:
    return kappa(ours, device) if len(ours) else np.nan
