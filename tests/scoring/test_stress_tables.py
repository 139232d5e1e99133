"""Tables of stress tests as text."""

from scoring.stress_tables import cadence_table, change_text, percentage


def test_cadence_is_a_table_of_heart_rate_by_movement():
    cells = [("every 5 s", "counts", 0.456), ("every 5 s", "none", 0.3), ("every 60 s", "counts", 0.4)]
    cadence = [{"heart_rate": heart, "movement": movement, "kappa": kappa} for heart, movement, kappa in cells]
    assert cadence_table(cadence).splitlines() == [
        "| heart rate | movement: counts | movement: none |",
        "| --- | --- | --- |",
        "| every 5 s | 0.46 | 0.30 |",
        "| every 60 s | 0.40 | - |",
    ]
    assert cadence_table([]) == ""


def test_changes_and_shares():
    assert change_text({"kappa_change": -0.104, "kappa_change_interval": [-0.2, 0.012]}) == "-0.10 [-0.20, +0.01]"
    assert change_text({"kappa_change": 0.1, "kappa_change_interval": None}) == "+0.10"
    assert [percentage(share) for share in (0, 0.127, None)] == ["0%", "13%", "-"]
