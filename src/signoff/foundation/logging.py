"""Logs to standard error: one line for people, or one JSON object per line for collectors. Credentials are masked."""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import orjson

if TYPE_CHECKING:
    from signoff.foundation.settings import LoggingSettings

MASK = "***"

_ROOT = "signoff"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

# What a log record always has (Python's own attributes); anything else was passed as `extra` and is shown.
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

# Each pattern keeps what says which credential it was and drops the credential.
_CREDENTIALS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Our own API keys: so_<id>_<secret>; the id is public.
    (re.compile(r"\b(so_[A-Za-z0-9]+_)[A-Za-z0-9_\-]{8,}"), rf"\1{MASK}"),
    # Vendors' keys: OpenAI and Anthropic (sk-…), Google (AIza…), GitHub, Slack, AWS.
    (re.compile(r"\b(sk-|AIza|gh[pousr]_|xox[abprs]-|AKIA)[A-Za-z0-9_\-]{8,}"), rf"\1{MASK}"),
    # Headers, however they are quoted: Authorization: Bearer …, 'x-api-key': '…'.
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|x-api-key|x-goog-api-key|api[-_]?key|set-cookie|cookie|password|passwd|secret"
            r"|token)(['\"]?\s*[:=]\s*)(?:\\?['\"])?(?:(?:bearer|basic)\s+)?[^\s'\",;&}\]\\]+"
        ),
        rf"\1\2{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/\-]{8,}=*"), rf"\1 {MASK}"),
    # Passwords in URLs: postgresql://user:password@host.
    (re.compile(r"(\b[a-z][a-z0-9+.\-]{0,30}://[^\s:/@]*:)[^\s/@]+@"), rf"\1{MASK}@"),
)


def mask_credentials(text: str) -> str:
    """The text with whatever looks like a credential replaced. A second line of defence: none should get this far."""
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return text


class PlainFormatter(logging.Formatter):
    """`12:00:01 warning signoff.runtime: message key=value`, with the traceback of an exception below it."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        fields = "".join(f" {name}={value}" for name, value in _extra(record).items())
        text = f"{moment} {record.levelname.lower()} {record.name}: {record.getMessage()}{fields}"
        if record.exc_info and not record.name.startswith(_ROOT):  # a library's inside is nobody's concern here
            text = f"{text} ({_named(record.exc_info[1])})"
        elif record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return mask_credentials(text)


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        body: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask_credentials(record.getMessage()),
            **{name: _masked(value) for name, value in _extra(record).items()},
        }
        if record.exc_info:
            body["exception"] = mask_credentials(self.formatException(record.exc_info))
        return orjson.dumps(body, default=str).decode()


class _LibrariesHandler(logging.StreamHandler[TextIO]):
    """What libraries warn of, in the same form: left to Python it is neither masked nor a line of JSON."""


def configure_logging(settings: LoggingSettings, *, stream: TextIO | None = None) -> None:
    """Send the house's logs, and libraries' warnings, to standard error; once more replaces what it set up before.

    Args:
        settings: level and format.
        stream: where to write instead of standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else PlainFormatter())
    logger = logging.getLogger(_ROOT)
    for old in list(logger.handlers):
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(_LEVELS[settings.level])
    logger.propagate = False
    others = _LibrariesHandler(stream or sys.stderr)
    others.setFormatter(handler.formatter)
    others.setLevel(logging.WARNING)
    whole = logging.getLogger()
    for old in [one for one in whole.handlers if isinstance(one, _LibrariesHandler)]:
        whole.removeHandler(old)
    whole.addHandler(others)


def _named(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}"


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _masked(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float)) or value is None else mask_credentials(str(value))
