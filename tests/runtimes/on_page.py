"""What the tests of the page do on it: choose, play, export, drop files."""

import re

import numpy as np
import pandas as pd

from pipeline.constants import UNKNOWN
from scoring.predictions import PROBABILITY_COLUMNS

MOVE = "(place, window) => { place.value = window; place.dispatchEvent(new Event('input')); }"
DROP = """(files) => {
  const data = new DataTransfer();
  for (const [text, name] of files) data.items.add(new File([text], name));
  dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
}"""


def ready(page):
    """The page, when nothing is being loaded or worked out."""
    page.locator("main[aria-busy=false]").wait_for(timeout=60_000)
    return page


def choose(page, which="model", **chosen):
    """Choose a model's architecture, precision or point."""
    for name, value in chosen.items():
        page.select_option(f"#{which} [name={name}]", value)
    ready(page)


def move(page, window):
    """Move to a window, and wait until it is predicted: on the way there the page shows the windows before it."""
    page.locator("#place").evaluate(MOVE, window)
    ready(page)


def play(page):
    """Play to the end, at the highest speed."""
    ready(page)
    page.select_option("#speed", "Infinity")
    page.click("#play")
    end = page.get_attribute("#place", "max")
    page.locator("#play", has_text="Replay live").wait_for(timeout=120_000)
    assert page.input_value("#place") == end


def drop(page, *files):
    """Drop files, (text, name) of each, and wait until the first is shown."""
    page.evaluate(DROP, [list(file) for file in files])


def shown(page, name):
    """The page, when the user's own night of this name is shown."""
    page.locator("#night option:checked", has_text=name).wait_for(state="attached")
    return ready(page)


def exported(page, kind, tmp_path):
    """What a button of the export form saves; the night begins at 22:30 unless something else is said."""
    ready(page)
    if not page.input_value("#start"):
        page.fill("#start", "2026-01-31T22:30:00")
    with page.expect_download() as download:
        page.click(f"#export button[value={kind}]")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def night_of(page, tmp_path):
    """The page's night, a row per window."""
    return pd.read_csv(exported(page, "csv", tmp_path))


def rows(page, table):
    """The cells of a table's rows."""
    return [row.locator("th, td").all_inner_texts() for row in page.locator(f"{table} tbody tr").all()]


def seconds_of(text):
    """Seconds of a time such as 1:02:30."""
    hours, minutes, seconds = re.fullmatch(r"(\d+):(\d\d)(?::(\d\d))?", text).groups()
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds or 0)


def check_same(table, expected, exact):
    """Stages and probabilities of the page are those of the simulator, window for window."""
    expected = expected.iloc[: len(table)]  # with labels a night may end before its last sample
    assert len(table) > 100
    assert table.time.tolist() == expected.t.tolist()
    unknown = (expected.predicted_stage == UNKNOWN).to_numpy()
    np.testing.assert_array_equal(table.stage == UNKNOWN, unknown)
    assert table[[*PROBABILITY_COLUMNS]][unknown].isna().all(axis=None)
    table, expected = table[~unknown], expected[~unknown]
    p, q = table[[*PROBABILITY_COLUMNS]].to_numpy(), expected[[*PROBABILITY_COLUMNS]].to_numpy()
    apart = 1e-5 if exact else 1e-2  # another processor may round 8-bit products elsewhere
    assert np.abs(p - q).max() < apart
    tied = np.diff(np.sort(q, axis=1)[:, -2:])[:, 0] < 2 * apart
    assert ((table.stage.to_numpy() == expected.predicted_stage.to_numpy()) | tied).all()
