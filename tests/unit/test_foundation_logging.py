from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from signoff.foundation.logging import configure_logging, mask_credentials
from signoff.foundation.settings import LoggingSettings


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    logger = logging.getLogger("signoff")
    before = (list(logger.handlers), logger.level, logger.propagate)
    whole = logging.getLogger()
    others = list(whole.handlers)
    yield
    logger.handlers[:], logger.level, logger.propagate = before
    whole.handlers[:] = others


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key so_4f2a_Qm9vaGFIYWhh was used", "key so_4f2a_*** was used"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: ***"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "{'authorization': ***'}"),
        ('{"x-api-key": "k123"}', '{"x-api-key": ***"}'),
        ("sent sk-ant-REDACTED on", "sent sk-*** on"),
        ("GET /v1?api_key=12345&q=1", "GET /v1?api_key=***&q=1"),
        ("postgresql://ana:s3cr3t@db:5432/app", "postgresql://ana:***@db:5432/app"),
        ("password=hunter2", "password=***"),
        ("used bearer abcdefgh12345 here", "used bearer *** here"),
        (
            "nothing to see: 25 tokens used in http://127.0.0.1:80/a@b",
            "nothing to see: 25 tokens used in http://127.0.0.1:80/a@b",
        ),
    ],
)
def test_credentials_are_masked(text: str, masked: str) -> None:
    assert mask_credentials(text) == masked


def test_json_lines_carry_fields_and_mask_them() -> None:
    stream = io.StringIO()
    configure_logging(LoggingSettings(format="json"), stream=stream)
    try:
        {}["token=abc123"]
    except LookupError:
        logging.getLogger("signoff.runtime").exception("failed", extra={"run_id": 7, "header": "Bearer abcdefgh"})
    line = json.loads(stream.getvalue())
    assert (line["level"], line["logger"], line["message"]) == ("error", "signoff.runtime", "failed")
    assert (line["run_id"], line["header"]) == (7, "Bearer ***")
    assert "abc123" not in line["exception"]
    assert "KeyError" in line["exception"]


def test_plain_lines_follow_the_level_and_mask() -> None:
    stream = io.StringIO()
    configure_logging(LoggingSettings(level="warning"), stream=stream)
    configure_logging(LoggingSettings(level="warning"), stream=stream)
    logger = logging.getLogger("signoff.api")
    logger.info("quiet")
    logger.warning("loud password=%s", "hunter2", extra={"run_id": 7})
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("warning signoff.api: loud password=*** run_id=7")


@pytest.mark.parametrize("format_", ["plain", "json"])
def test_what_libraries_warn_of_has_the_same_form(format_: str) -> None:
    """The driver's pool wrote tracebacks between the lines, unmasked, for as long as PostgreSQL was away."""
    stream = io.StringIO()
    for _ in range(2):
        configure_logging(LoggingSettings.model_validate({"format": format_}), stream=stream)
    logger = logging.getLogger("asyncpg.pool")
    logger.info("quiet")
    try:
        {}["gone"]
    except LookupError:
        logger.warning("retrying password=hunter2", exc_info=True)
    (line,) = stream.getvalue().splitlines()
    assert "retrying password=***" in line
    assert "KeyError: 'gone'" in line


def test_a_long_line_is_masked_in_time():
    assert mask_credentials("a-" * 100_000 + "postgresql+psycopg://user:hunter2@db/x").endswith("://user:***@db/x")
