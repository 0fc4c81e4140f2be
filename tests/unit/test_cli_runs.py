"""What commands on runs make of their words, and how they print what people read."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from support.cli_cases import signoff

from signoff.cli.review_views import rounded

RUN = str(uuid4())
UNANSWERED = ("--url", "http://127.0.0.1:9", "--key", "so_a_b")
"""Nothing listens there: what is wrong with the words is told before anybody is asked."""


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs", "--json"),
        ("runs", "--status", "stuck"),
        ("queues", "--json"),
        ("schedules", "-n", "3"),
        ("reviews", "--json"),
        ("runs", "skip", RUN, "notify", "-r", "told"),
        ("runs", "skip", "--all", "notify", "-r", "told", "--where", "status = 'waiting'", "--dry-run"),
        ("runs", "priority", "--all", "9", "--workflow", "nightly"),
        ("run", "hello", "--wait", "--timeout", "60s"),
        ("run", "hello", "--wait", "--timeout", "1.5"),
    ],
)
def test_these_words_are_understood(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """`runs list --json` was, and `runs --json` refused; a skip or a priority could not be asked for many runs."""
    result = signoff(*arguments, *UNANSWERED, cwd=tmp_path)
    assert "No server answers" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("runs", "skip", "notify", "ship", "-r", "told"), "is no run's id"),
        (("runs", "skip", "notify", "-r", "told"), "Name a run"),
        (("runs", "priority", RUN, "10"), "A priority is 1 (first) to 9 (last)"),
        (("runs", "priority", RUN, "1", "2"), "Name a run and its priority"),
        (("runs", "lst"), "No such command"),
        (("run", "hello", "--wait", "--timeout", "soon"), "a number alone is seconds"),
    ],
)
def test_a_mistake_in_the_words_is_told(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    result = signoff(*arguments, cwd=tmp_path)
    assert result.code == 2
    assert words in result.err


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.3410090602249479, "≈ 0.341"),
        (0.5, "0.5"),
        (1250.0, "1250"),
        (1234567.891234, "≈ 1234567.8912"),
        (0.000123456, "≈ 0.000123"),
        (0.0, "0"),
        (-2.25, "-2.25"),
        (float("inf"), "Infinity"),
    ],
)
def test_numbers_of_the_evidence_are_rounded_and_say_so(value: float, text: str) -> None:
    assert rounded(value) == text
