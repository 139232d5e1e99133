"""The page's exports: sleep statistics of a hypnogram, and a night as a file."""

import numpy as np
from fastapi import Response

from pipeline.constants import STAGES
from watch_sim.service import night_files
from watch_sim.service.refusals import unprocessable
from watch_sim.service.requests import Export, Hypnogram
from watch_sim.service.run import ServedRun


def night_statistics(request: Hypnogram, served: ServedRun) -> list[dict]:
    """[Statistic] for JSON; HTTP 422 if no stage is scored or predicted."""
    from scoring.sleep_statistics import UNITS, hypnogram, sleep_table  # importing yasa takes seconds; rarely needed

    index = [STAGES.index(stage) if stage in STAGES else -1 for stage in request.stages]
    if max(index) < 0:
        raise unprocessable("stages", "no stage is scored or predicted")
    values = sleep_table({"": hypnogram(index, served.options.stride)}).iloc[0]
    return [
        {"name": name, "unit": unit, "value": None if np.isnan(values[name]) else round(float(values[name]), 2)}
        for name, unit in UNITS.items()
    ]


def export_night(kind: str, request: Export, served: ServedRun) -> dict | Response:
    """A night as a file: edf or csv as a Response, healthkit or health_connect for JSON.

    HTTP 422 if there is no stage for a health store, or too many for an EDF of this stride.
    """
    stages, probabilities, start = request.stages, request.probabilities, request.instant()
    stride = served.options.stride
    if kind == "edf":
        try:
            content = night_files.edf(stages, probabilities, stride, start, request.subject, request.model)
        except ValueError:
            raise unprocessable("stages", "EDF cannot hold so many of this stride; export them as csv") from None
        return Response(content, media_type="application/octet-stream")
    if kind == "csv":
        return Response(night_files.table(stages, probabilities, stride, start), media_type="text/csv")
    if not {*STAGES}.intersection(stages):
        raise unprocessable("stages", "all stages are unknown, so there is nothing to export to a health store")
    form = night_files.healthkit if kind == "healthkit" else night_files.health_connect
    return form(stages, stride, start, served.contract)
