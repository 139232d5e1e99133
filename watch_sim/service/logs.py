"""Logs of the service: one JSON object per line on standard error, without subjects, values or addresses."""

import json
import logging
import traceback
from datetime import UTC, datetime

from apps.python.sleep_stager import SimulatedWarning

LOGGER = logging.getLogger("wristsleep.service")


class JsonFormatter(logging.Formatter):
    """Formats time, level, message, the fields of `record.about`, and an exception's type and traceback.

    An exception's text is left out, as it may contain values.
    """

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line of JSON."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage() if record.name == LOGGER.name else str(record.msg).partition("\n")[0],
            **getattr(record, "about", {}),
        }
        if record.exc_info and record.exc_info[0]:
            frames = traceback.extract_tb(record.exc_info[2])
            entry["error"] = record.exc_info[0].__name__
            entry["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(entry)


def log_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    """In place of warnings.showwarning: a line of the log, without the text of others' warnings."""
    text = str(message) if issubclass(category, SimulatedWarning) else "warning"
    LOGGER.warning("%s", text, extra={"about": {"error": category.__name__, "at": [f"{filename}:{lineno}"]}})


LOG_CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        LOGGER.name: {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}
