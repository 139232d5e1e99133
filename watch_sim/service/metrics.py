"""Metrics of the service in Prometheus text format, summed over all workers."""

import os
from pathlib import Path

import psutil
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # folder where workers write their metrics
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Metrics of one worker. Labels are routes, never paths, which may name a night.

    Attributes:
        requests: Responses by method, route and status.
        seconds: Time from a request's head to the end of its response, by route.
        running: Requests in progress.
        epochs: Live epochs returned.
        refused: Live tokens refused, by status.
    """

    def __init__(self):
        """Create all metrics at 0."""
        self.registry = CollectorRegistry()
        place = {"registry": self.registry, "namespace": "wristsleep"}
        self.requests = Counter("requests", "Responses", ["method", "route", "status"], **place)
        self.seconds = Histogram("request_seconds", "Duration of a request", ["route"], buckets=SECONDS, **place)
        self.running = Gauge("requests_running", "Requests in progress", multiprocess_mode="livesum", **place)
        self.epochs = Counter("live_epochs", "Live epochs returned", **place)
        self.refused = Counter("live_tokens_refused", "Live tokens refused", ["status"], **place)

    def text(self) -> tuple[bytes, str]:
        """(metrics as text, content type)."""
        registry = self.registry
        if FOLDER_VARIABLE in os.environ:
            forget_killed(Path(os.environ[FOLDER_VARIABLE]))
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST


def forget_killed(folder: Path) -> None:
    """Remove the gauges of workers that were killed: their requests would count as running for ever."""
    for file in folder.glob("gauge_live*.db"):
        worker = int(file.stem.rpartition("_")[2])
        try:
            ended = psutil.Process(worker).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            ended = True
        if ended:
            mark_process_dead(worker, str(folder))
