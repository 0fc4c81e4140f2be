"""`signoff plan`, `release`, `deploy`, `rollback`, `history`, `releases`: on the database, by its operator."""

from __future__ import annotations

from pathlib import Path

from support.cli_cases import Run, edited, lines, parsed

QUALITY = "quality: {accuracy: 0.9}\nlimits: {max"


def test_a_release_is_planned_made_and_deployed(run: Run) -> None:
    planned = parsed(run("plan", "prod", "--json"))
    assert (planned["version"], planned["before"], planned["changed"]) == (0, None, True)
    dry = run("release", "--dry-run", "--json")
    assert (parsed(dry)["created"], lines(run("releases", "list", "--json"))) == (False, [])
    first = parsed(run("release", "-m", "The first", "--json"))["release"]
    moved = parsed(run("deploy", "prod", first[:9], "-m", "Go", "--expect", "0", "--json"))
    assert (moved["changed"], moved["environment"]["version"]) == (True, 1)
    assert run("plan", "prod").code == 0  # nothing would change
    again = run("deploy", "staging", "--dry-run")  # the release is there: it was said that it could be made
    assert (again.code, "could be made" in again.out, "staging" in again.out) == (0, False, True)
    assert "was there already. Nothing was done." in run("release", "--dry-run").out
    assert [word in run("history", "prod").out for word in ("deploy", "Go", first[:12])] == [True] * 3


def test_a_changed_prompt_needs_a_version_that_says_so(new_project: Path, run: Run) -> None:
    assert run("deploy", "prod", "-m", "Go").code == 0
    edited(new_project, "You sort messages.", "You sort what people write.")
    refused = run("deploy", "prod")
    assert (refused.code, "Write 'version: 1.0.1'" in refused.err) == (5, True)
    markdown = run("plan", "prod", "--markdown")
    assert (markdown.code, "version: 1.0.1" in markdown.out) == (1, True)
    edited(new_project, "version: 1.0.0", "version: 1.0.1")
    changes = parsed(run("plan", "prod", "--json"))["changes"]
    assert [(one["kind"], one["bump"]) for one in changes if one["kind"] == "prompt"] == [("prompt", "patch")]


def test_an_environment_goes_back_and_its_release_stays(new_project: Path, run: Run) -> None:
    first = parsed(run("deploy", "prod", "-m", "Go", "--json"))["environment"]["release"]
    edited(new_project, "Hello", "Dear", "tools/replies.py")
    second = parsed(run("release", "--json"))["release"]
    stale = run("deploy", "prod", second[:9], "--expect", "0")
    assert (stale.code, "Plan again" in stale.err, "system/cli" in stale.err) == (5, True, True)
    assert run("deploy", "prod", second[:9], "-m", "Kinder").code == 0
    back = run("rollback", "prod", "-m", "Wrong")
    assert (back.code, first in back.out) == (0, True)
    history = lines(run("history", "prod", "--json"))
    assert [(move["operation"], move["reason"]) for move in history] == [
        ("rollback", "Wrong"),
        ("deploy", "Kinder"),
        ("deploy", "Go"),
    ]
    used = run("releases", "delete", first[:9])
    assert (used.code, "environment prod" in used.err) == (5, True)
    edited(new_project, "Dear", "Good day", "tools/replies.py")
    third = parsed(run("release", "--json"))["release"]
    assert (run("releases", "delete", third).code, run("releases", "show", third).code) == (0, 3)


def test_a_threshold_stands_between_a_release_and_an_environment(new_project: Path, run: Run) -> None:
    edited(new_project, "limits: {max", QUALITY)
    assert "accuracy at least 0.9; not measured" in run("plan", "prod").out
    refused = run("deploy", "prod")
    assert refused.code == 5
    assert "sort-message@1.0.0: accuracy must be at least 0.9, and has no score by local/minilm" in refused.err
    assert "signoff prompts test sort-message --record" in refused.err
    score = ("prompts", "score", "sort-message", "1.0.0", "accuracy")
    about = ("--cases", "9", "--dataset", "b77", "--model", "local/minilm")
    assert "misses its threshold" in run(*score, "0.5", *about).out
    assert "is 0.5 on b77" in run("deploy", "prod").err
    assert run("deploy", "prod", "--override-quality", " ").code == 2
    passed = run("deploy", "prod", "-m", "Go", "--override-quality", "The old model is gone")
    assert passed.code == 0, passed.err
    kept = lines(run("history", "prod", "--json"))[0]["quality_override"]
    assert (kept["reason"], kept["shortfalls"][0]["measured"]) == ("The old model is gone", 0.5)
    assert "reaches its threshold" in run(*score, "0.95", *about).out
    assert run("deploy", "staging").code == 0
    shown = parsed(run("prompts", "show", "sort-message", "--json"))
    assert shown["environments"] == ["prod", "staging"]


BAD: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("plan",), 2, "Missing argument"),
    (("plan", "nowhere"), 3, "dev, staging, prod"),
    (("plan", "prod", "abc"), 1, "at least 7 characters"),
    (("deploy", "prod", "--expect", "-1"), 2, "--expect"),
    (("deploy", "prod", "--expect", "7"), 5, "Plan again"),
    (("deploy", "prod", "-m", "x" * 2001), 1, "2000"),
    (("rollback", "prod"), 5, "no earlier release"),
    (("rollback", "prod", "zzzzzzz"), 1, "no release"),
    (("history", "prod", "--limit", "0"), 2, "--limit"),
    (("releases", "show", "abcdef0"), 3, "no release"),
    (("release", "nowhere"), 1, "nowhere"),
    (("plan", "prod", "--url", "http://127.0.0.1:9"), 4, "key"),
    (("outcomes", "--since", "soon"), 2, "--since"),
    (("outcomes",), 6, "signoff dev"),
)


def test_what_cannot_be_done_is_told(run: Run) -> None:
    for arguments, code, said in BAD:
        result = run(*arguments)
        assert (result.code, said in result.err + result.out) == (code, True), (arguments, result)
        assert "Traceback" not in result.err
