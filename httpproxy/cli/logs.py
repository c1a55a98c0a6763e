"""How the process logs: text for people or one JSON object a line, on standard error.

Whatever a message or an exception carries, tokens and passwords do not get out: one
expression masks them in the finished line.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Final

import orjson

from httpproxy.telemetry.course import log_members

_SECRET: Final = re.compile(
    r"(?:(?<=bearer )|(?<=basic ))[\w.~+/=-]{8,}"  # an Authorization
    r"|(?<=://)[^\s/@]*(?=@)"  # user and password of a URL
    r"|(?:(?<=hapikey=)|(?<=password=)|(?<=token=))[^\s&\"']+",
    re.IGNORECASE,
)
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def masked(text: str) -> str:
    """The text without what proves somebody's identity."""
    return _SECRET.sub("…", text)


class TextFormatter(logging.Formatter):
    """Time, level, logger and message in a line, an exception in those after it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, whose call or job it is, and
    what `extra` adds. One request id leads from the gateway's line to the event's row."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= log_members()
        line |= {name: v for name, v in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return masked(orjson.dumps(line, default=str).decode())


def configure(level: str, style: str) -> None:
    """Send every log line of this process to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def verbose() -> bool:
    """Whether the level is debug: tracebacks are wanted."""
    return logging.getLogger().isEnabledFor(logging.DEBUG)
