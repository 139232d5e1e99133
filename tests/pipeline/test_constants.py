"""Constants fit each other."""

from pipeline.constants import CHANNELS, STAGE_OF_CODE, STAGES


def test_constants_fit_each_other():
    assert [STAGES[STAGE_OF_CODE[code]] for code in (0, 1, 2, 3, 4, 5)] == ["Wake", "N1", "N2", "N3", "N3", "REM"]
    assert STAGE_OF_CODE[-1] == -1
    for channel in CHANNELS.values():
        assert not channel.low <= channel.missing <= channel.high
        assert channel.missing < channel.low  # sensing tells missing values by it
    assert {name for name, channel in CHANNELS.items() if channel.bins} == {"steps", "activity"}
