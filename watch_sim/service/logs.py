"""Logs of the service: a JSON object a line on standard error, without subjects, values or addresses."""

import json
import logging
import traceback
from datetime import UTC, datetime

LOGGER = logging.getLogger("wristsleep.service")


class JsonFormatter(logging.Formatter):
    """Time, level and message, what is in `record.about`, and of an exception its type and where it was raised.

    An exception's text is left out, as it may hold values.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage() if record.name == LOGGER.name else str(record.msg),
            **getattr(record, "about", {}),
        }
        if record.exc_info and record.exc_info[0]:
            frames = traceback.extract_tb(record.exc_info[2])
            entry["error"] = record.exc_info[0].__name__
            entry["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(entry)


LOG_CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "loggers": {
        LOGGER.name: {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}
