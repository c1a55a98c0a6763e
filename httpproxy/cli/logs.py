"""How the process logs: text for people or one JSON object a line, on standard error.

Whatever a message or an exception carries, tokens and passwords do not get out: one
expression masks them in the finished line. Of foreign exceptions no values get out
(`tracebacks`), and no message makes a line of its own that looks like ours.
"""

from __future__ import annotations

import logging
import re
from types import TracebackType
from typing import Any, Final

import orjson

from httpproxy.cli.tracebacks import without_data
from httpproxy.telemetry.course import log_members

_SECRET: Final = re.compile(
    r"(?:(?<=bearer )|(?<=basic ))[\w.~+/=-]{8,}"  # an Authorization
    r"|(?<=://)[^\s/@]*(?=@)"  # user and password of a URL
    r"|(?:(?<=hapikey=)|(?<=password=)|(?<=token=))[^\s&\"']+"
    r"|(?<=\bhpk_)\w{16}_[\w-]{20,}"  # an API key of ours
    r"|(?<=\bpat)(?:\w{14}\.[0-9a-f]{32,}|-\w{2,5}-[\w-]{20,})"  # Airtable's, HubSpot's
    r"|(?<=/)[\w-]{32}(?=/(?:https://)?[a-z0-9-]+\.)",  # a unique id, before its host
    re.IGNORECASE,
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def _escaped(sign: re.Match[str]) -> str:
    return repr(sign[0])[1:-1]


def masked(text: str) -> str:
    """The text without what proves somebody's identity."""
    return _SECRET.sub("…", text)


class _Formatter(logging.Formatter):
    """What both forms have in common: exceptions tell no data."""

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802 - logging's name
        text = super().formatException(ei)
        return text if ei[1] is None else without_data(text, ei[1])

    def said(self, record: logging.LogRecord) -> str:
        """The message, without what exceptions among its arguments quote."""
        text = record.getMessage()
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, BaseException):
                text = without_data(text, argument)
        return text


class TextFormatter(_Formatter):
    """Time, level, logger and message in a line, an exception in those after it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line = {**vars(record), "message": _CONTROL.sub(_escaped, self.said(record))}
        return self._style.format(logging.makeLogRecord(line))


class JsonFormatter(_Formatter):
    """One JSON object a line: time, level, logger, message, whose call or job it is, and
    what `extra` adds. One request id leads from the gateway's line to the event's row."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.said(record),
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
