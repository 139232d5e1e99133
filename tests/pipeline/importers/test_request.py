"""What is said after an import."""

from datetime import date
from pathlib import Path

import pytest

from pipeline.errors import UserMistake
from pipeline.importers.request import ImportRequest, zone_named


def test_notes_are_said_once_and_what_was_left_out_is_counted():
    request = ImportRequest(Path("x"))
    for i in range(1000):
        request.note("heart rate from 'watch'")
        request.leave_out("damaged files", f"{i}.fit")
    assert request.summary() == ["heart rate from 'watch'", "left out: damaged files (1000): 0.fit; 1.fit; 2.fit; …"]
    assert request.first_reason() == ": 0.fit: damaged files"
    assert sum(map(len, request.left_out.values())) == 3  # not all are kept


def test_since_counts_evenings():
    assert ImportRequest(Path(), date(2026, 2, 1)).wants("2026-02-01")
    assert not ImportRequest(Path(), date(2026, 2, 1)).wants("2026-01-31")
    assert ImportRequest(Path()).wants("1999-01-01")


@pytest.mark.parametrize("name", ["Berlin", "../../etc/passwd", "Europe/"])
def test_zones_must_exist(name):
    with pytest.raises(UserMistake, match="no such time zone; expected one such as Europe/Berlin"):
        zone_named(name)
    assert zone_named(None) is None
