"""Files of a night: EDF+ as mne reads it, HealthKit and Health Connect, CSV; by themselves and through the service."""

import io
from datetime import datetime
from zoneinfo import ZoneInfo

import mne
import numpy as np
import pandas as pd
import pytest

from apps.python.sleep_stager import zone_of
from pipeline.constants import STAGES, UNKNOWN
from scoring.predictions import PROBABILITY_COLUMNS
from watch_sim.service.night_files import clock_start, edf, edf_text, later, segments

NIGHT = ["Wake"] * 3 + ["N1", "N2"] * 200 + ["N3"] * 10 + ["REM"] * 7
P = np.eye(5)[[STAGES.index(stage) for stage in NIGHT]] * 0.9 + 0.02
NIGHT_TO_EXPORT = {
    "stages": NIGHT,
    "probabilities": P.tolist(),
    "start": "2026-10-24T23:10:00",
    "zone": "Europe/Berlin",
}

BERLIN = ZoneInfo("Europe/Berlin")


class TestClock:
    @pytest.mark.parametrize("zone", ["Europe/Berlin", "+02:00"])
    def test_a_local_time_in_its_zone(self, zone):
        assert clock_start("2026-10-24T23:10", zone_of(zone)).isoformat() == "2026-10-24T23:10:00+02:00"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("2026-03-29T02:30:00", "clocks skip"),
            ("2026-03-29T02:30:00+01:00", "local time"),
            ("1984-12-31T23:00:00", "1985 to 2084"),
            ("2085-01-01T00:00:00", "1985 to 2084"),
            ("23:10", "local time"),
        ],
    )
    def test_a_time_that_is_none(self, text, message):
        with pytest.raises(ValueError, match=message):
            clock_start(text, BERLIN)

    def test_clocks_change_in_the_night(self):
        start = datetime(2026, 10, 25, 1, 30, tzinfo=BERLIN)
        assert later(start, 2 * 3600).isoformat() == "2026-10-25T02:30:00+01:00"

    def test_segments_merge_equal_codes_and_leave_no_gap(self):
        start = datetime(2026, 10, 24, 23, 0, tzinfo=BERLIN)
        runs = segments(["N1", "N2", "REM", "N1"], 30, start, {"N1": 3, "N2": 3, "REM": 5})
        times = [f"2026-10-24T23:0{clock}+02:00" for clock in ("0:00", "1:00", "1:30", "2:00")]
        assert runs == [(times[0], times[1], 3), (times[1], times[2], 5), (times[2], times[3], 3)]


def test_header_fields_are_plain():
    assert edf_text("Jörg, 7") == "J_rg__7"
    assert edf_text("") == "X"
    assert edf_text("x" * 90) == "x" * 20


@pytest.mark.parametrize("stage", ["Wake", "N2", "Unknown"])
def test_edf_of_any_length_begins_at_a_whole_second(stage):
    """edfio refuses some lengths after a fraction of a second: its floats differ in the last bit."""
    start = datetime(2026, 1, 31, 23, 10, 0, 700_000)
    for n in (1, 215, 239, 430, 960, 2880):
        content = edf([stage] * n, [[0.2] * 5] * n, 30.0, start, "a", "gru")
        assert content[168:184] == b"31.01.2623.10.01"


class TestExport:
    def test_edf_as_mne_reads_it(self, client, tmp_path):
        named = {**NIGHT_TO_EXPORT, "subject": "Jörg, 7", "model": "gru int8"}
        (tmp_path / "night.edf").write_bytes(client.post("/api/export/edf", json=named).content)
        notes = mne.read_annotations(tmp_path / "night.edf")
        assert notes.onset.tolist() == [30.0 * i for i in range(len(NIGHT))]
        assert {*notes.duration} == {30.0}
        texts = {"Wake": "W", "REM": "R"}
        assert notes.description.tolist() == [f"Sleep stage {texts.get(stage, stage)}" for stage in NIGHT]
        raw = mne.io.read_raw_edf(tmp_path / "night.edf", verbose="error")
        assert raw.info["meas_date"].isoformat() == "2026-10-24T23:10:00+00:00"  # EDF has local time and no zone
        assert raw.ch_names == [f"P({stage})" for stage in STAGES]
        np.testing.assert_allclose(raw.get_data().T, P, atol=2e-5)
        assert raw.times[1] == 30

    def test_healthkit_merges_and_keeps_the_offset_over_a_change_of_clocks(self, client):
        answer = client.post("/api/export/healthkit", json=NIGHT_TO_EXPORT).json()
        assert answer == {
            "type": "HKCategoryTypeIdentifierSleepAnalysis",
            "metadata": {"HKTimeZone": "Europe/Berlin"},
            "samples": [
                {"start": "2026-10-24T23:10:00+02:00", "end": "2026-10-24T23:11:30+02:00", "value": 2},
                {"start": "2026-10-24T23:11:30+02:00", "end": "2026-10-25T02:31:30+02:00", "value": 3},
                {"start": "2026-10-25T02:31:30+02:00", "end": "2026-10-25T02:36:30+02:00", "value": 4},
                {"start": "2026-10-25T02:36:30+02:00", "end": "2026-10-25T02:40:00+02:00", "value": 5},
            ],
        }

    def test_health_connect(self, client):
        answer = client.post("/api/export/health_connect", json={**NIGHT_TO_EXPORT, "start": "2026-10-24T23:30"}).json()
        assert [stage["stage"] for stage in answer["stages"]] == [1, 4, 5, 6]
        assert (answer["startTime"], answer["startZoneOffset"]) == ("2026-10-24T23:30:00+02:00", "+02:00")
        assert (answer["endTime"], answer["endZoneOffset"]) == ("2026-10-25T02:00:00+01:00", "+01:00")
        ends = [stage["endTime"] for stage in answer["stages"]]
        assert [stage["startTime"] for stage in answer["stages"]] == [answer["startTime"], *ends[:-1]]

    def test_csv(self, client):
        text = client.post("/api/export/csv", json={**NIGHT_TO_EXPORT, "zone": "-03:30"}).text
        table = pd.read_csv(io.StringIO(text))
        assert list(table) == ["time", "clock", "stage", *PROBABILITY_COLUMNS]
        assert table.time.tolist() == [30 * i for i in range(len(NIGHT))]
        assert table.stage.tolist() == NIGHT
        assert table.clock[1] == "2026-10-24T23:10:30-03:30"
        np.testing.assert_allclose(table[[*PROBABILITY_COLUMNS]], P)

    def test_no_such_export(self, client):
        assert client.post("/api/export/pdf", json=NIGHT_TO_EXPORT).status_code == 422


GAPPED = ["Wake", "N2", "N2", *[UNKNOWN] * 6, "N2", "REM", UNKNOWN]
GAPPED_NIGHT = {
    "stages": GAPPED,
    "probabilities": [None if stage == UNKNOWN else [0.2] * 5 for stage in GAPPED],
    "start": "2026-10-24T22:00:00",
}


class TestUnknown:
    """A night of which six windows in the middle, and the last one, have no stage."""

    def test_edf_annotates_a_question_mark(self, client, tmp_path):
        (tmp_path / "night.edf").write_bytes(client.post("/api/export/edf", json=GAPPED_NIGHT).content)
        notes = mne.read_annotations(tmp_path / "night.edf").description
        assert [text == "Sleep stage ?" for text in notes] == [stage == UNKNOWN for stage in GAPPED]
        p = mne.io.read_raw_edf(tmp_path / "night.edf", verbose="error").get_data().T
        np.testing.assert_allclose(p.sum(1), [stage != UNKNOWN for stage in GAPPED], atol=1e-4)

    def test_health_stores_have_a_gap(self, client):
        kit = client.post("/api/export/healthkit", json=GAPPED_NIGHT).json()["samples"]
        times = [(sample["start"][11:19], sample["end"][11:19], sample["value"]) for sample in kit]
        assert times == [
            ("22:00:00", "22:00:30", 2), ("22:00:30", "22:01:30", 3), ("22:04:30", "22:05:00", 3),
            ("22:05:00", "22:05:30", 5),
        ]  # fmt: skip
        connect = client.post("/api/export/health_connect", json=GAPPED_NIGHT).json()
        assert [stage["stage"] for stage in connect["stages"]] == [1, 4, 4, 6]
        assert connect["endTime"] == kit[-1]["end"]

    def test_csv_leaves_probabilities_empty(self, client):
        for probabilities in (GAPPED_NIGHT["probabilities"], [[0.2] * 5] * len(GAPPED)):
            body = {**GAPPED_NIGHT, "probabilities": probabilities}
            table = pd.read_csv(io.StringIO(client.post("/api/export/csv", json=body).text))
            assert table.stage.tolist() == GAPPED
            empty = table[[*PROBABILITY_COLUMNS]].isna().to_numpy()
            np.testing.assert_array_equal(empty, np.tile(table[["stage"]] == UNKNOWN, 5))

    @pytest.mark.parametrize("kind", ["healthkit", "health_connect"])
    def test_a_night_without_a_stage_is_nothing_for_a_health_store(self, client, refused, kind):
        body = {**GAPPED_NIGHT, "stages": [UNKNOWN] * len(GAPPED)}
        assert refused(client.post(f"/api/export/{kind}", json=body)) == ["stages"]
        assert client.post("/api/export/edf", json=body).status_code == 200
