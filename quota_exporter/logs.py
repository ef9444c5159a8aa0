"""Log lines in logfmt or JSON that hold no exception texts, since those may quote a secret."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["logfmt", "json"]

_OWN_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
_BARE = re.compile(r"[^\s\"=\\]+")
_LEAST_LEVELS = {
    "httpx": logging.WARNING,  # whole URLs at INFO
    "httpcore": logging.WARNING,  # headers at DEBUG
    "asyncio": logging.WARNING,
    "uvicorn": logging.ERROR,  # a warning for each request that is not HTTP, which anyone can send
}


class StructuredFormatter(logging.Formatter):
    """Writes time, level, message and the record's extra fields on one line."""

    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the values hold."""
        fields: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": _message(record),
        }
        fields |= {key: value for key, value in record.__dict__.items() if key not in _OWN_ATTRIBUTES}
        if record.exc_info is not None and record.exc_info[0] is not None:
            fields |= {"error": record.exc_info[0].__name__, "at": _places(record.exc_info[2])}
        if self._form == "json":
            return json.dumps(fields, default=str)
        return " ".join(f"{key}={_logfmt(value)}" for key, value in fields.items())


def set_up(level: str, form: LogFormat) -> None:
    """Send the exporter's log of at least this level to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(StructuredFormatter(form))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name, least in _LEAST_LEVELS.items():
        logging.getLogger(name).setLevel(least)


def _message(record: logging.LogRecord) -> str:
    if record.name.startswith("quota_exporter"):
        return record.getMessage()
    # arguments of others may hold anything, and asyncio quotes exceptions from the second line on
    return str(record.msg).partition("\n")[0]


def _places(trace: Any) -> str:
    frames = traceback.extract_tb(trace)[-3:]
    return " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))


def _logfmt(value: Any) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) and text.isprintable() else json.dumps(text)
