"""Filters on outgoing text: what each finds in any disguise, and that nothing goes out that nobody looked at."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from signoff.capabilities.validation.filters import Found, apply_filters, default_filters
from signoff.catalog.answer_contracts import FilterUse, FilterVerdict
from signoff.core.errors import InvalidError, LimitError, StepError

HOSTS = {"hosts": ("shop.example",)}


def verdicts(use: FilterUse, text: str) -> list[str]:
    return [result.verdict for result in apply_filters([use], {"text": text}).results]


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/a",
        "https://shop.example@evil.example/",
        "https:\\\\evil.example\\a",
        "//evil.example/a",
        "https:/evil.example",
        "www.evil.example",
        "evil.example/pay",
        "<a href='&#104;ttps://evil.example'>here</a>",
        "https://ev\u200bil.example/",
        "https://shop.example.evil.example/",
        "HTTPS://EVIL.EXAMPLE",
    ],
)
def test_links_to_unknown_hosts_are_found_however_they_are_written(text: str) -> None:
    assert verdicts(FilterUse("links", "block", None, HOSTS), text) == ["block"]


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.example/orders",
        "see help.shop.example/faq",
        "no link, e.g. 3/4 or and/or",
        "a@shop.example",
        "[us](https://shop.example)",
        "(https://shop.example), **https://shop.example**!",
    ],
)
def test_links_to_known_hosts_and_no_links_pass(text: str) -> None:
    assert verdicts(FilterUse("links", "block", None, HOSTS), text) == []


@pytest.mark.parametrize("verdict", ["block", "warn", "change"])
def test_numbers_and_names_of_members_are_looked_at_too(verdict: FilterVerdict) -> None:
    use = FilterUse("personal_data", verdict)
    for value in (4111111111111111, 4111111111111111.0, {"4111 1111 1111 1111": True}):
        done = apply_filters([use], {"told": {"card": [value]}, "cents": 12_345_678, "paid": True})
        # Neither can be changed in its place, so what would be changed does not go out.
        assert [one.verdict for one in done.results] == ["warn" if verdict == "warn" else "block"], value
        assert done.output["told"] == {"card": [value]}


def test_html_loses_what_runs_and_keeps_what_is_said() -> None:
    dirty = '<p onclick="x()">Hi <b>you</b><script>alert(1)</script><img src="//t.example/p.gif"></p>'
    done = apply_filters([FilterUse("html", "change", "body_html")], {"body_html": dirty, "subject": "<b>"})
    assert done.output == {"body_html": "<p>Hi <b>you</b></p>", "subject": "<b>"}
    assert done.summary == {"review": False, "changed": True, "reasons": []}
    done.require()


def test_html_that_is_fine_counts_as_unchanged() -> None:
    text = '<p>See <a href="https://shop.example/a" title="Ours" rel="nofollow">us</a> &amp; <b>them</b>.</p>'
    filtered = apply_filters([FilterUse("html", "change")], {"body_html": text})
    assert (filtered.output["body_html"], filtered.results) == (text, ())


def test_words_are_found_through_tags_digits_and_accents() -> None:
    for text in ("You id<b>iot</b>!", "1d10t", "ídiot", "Idiot"):
        assert verdicts(FilterUse("toxicity", "block"), text) == ["block"], text
    assert verdicts(FilterUse("toxicity", "block"), "An idiotproof, Scunthorpe-safe answer") == []


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "(?=a)(a*)*b"])
def test_no_text_makes_a_pattern_of_the_project_slow(pattern: str) -> None:
    promises = default_filters()["promises"]
    assert not promises.find("a" * 3_000 + "!", {"patterns": (pattern, "A!b")})
    assert promises.find("Ba" * 100, {"patterns": ("^(BA)+$",)})


def test_a_text_that_a_pattern_cannot_be_looked_for_in_does_not_go_out() -> None:
    use = FilterUse("promises", "review", None, {"patterns": (r"(a*)*\1b(?=c)",)})
    with pytest.raises(StepError, match="too many steps"):
        apply_filters([use], {"text": "a" * 5_000})


def test_promises_ask_for_a_person_by_words_and_patterns() -> None:
    use = FilterUse("promises", "review", None, {"words": ("full refund",), "patterns": (r"within \d+ hours",)})
    found = apply_filters([use], {"text": "A full\n refund within 24 hours."})
    assert found.summary["review"] is True
    assert len(found.summary["reasons"]) == 2


def test_personal_data_is_taken_out_and_what_hides_behind_tags_blocks() -> None:
    use = FilterUse("personal_data", "change")
    done = apply_filters([use], {"lines": ["Write to ana@mail.example."]})
    assert done.output == {"lines": ["Write to [EMAIL_ADDRESS]."]}
    assert verdicts(use, "ana<b></b>@mail.example") == ["block"]
    allowed = FilterUse("personal_data", "block", None, {"allow": ("EMAIL_ADDRESS",)})
    assert verdicts(allowed, "Write to ana@mail.example.") == []


def test_a_secret_is_blocked_without_being_told() -> None:
    with pytest.raises(StepError) as caught:
        apply_filters([FilterUse("secrets", "block")], {"text": "key AKIAIOSFODNN7EXAMPLE"}).require()
    assert caught.value.kind == "filtered"
    assert "AKIA" not in str(caught.value)


class Failing:
    """A vendor's filter that cannot look."""

    def find(self, text: str, settings: Mapping[str, tuple[str, ...]]) -> Sequence[Found]:
        raise LimitError("too long for us")


def test_a_filter_that_cannot_look_fails_the_step_and_another_may_stand_in() -> None:
    with pytest.raises(StepError) as caught:
        apply_filters([FilterUse("toxicity", "review")], {"text": "kind words"}, {"toxicity": Failing()})
    assert caught.value.kind == "filter_failed"


@pytest.mark.parametrize(
    ("name", "made", "problem"),
    [
        ("toxicity", "VendorToxicity", None),
        ("spelling", "VendorToxicity", "replaces none of"),
        ("toxicity", "NoFilter", "replaces none of"),
        ("toxicity", "Absent", "cannot be loaded"),
    ],
)
def test_an_installed_package_replaces_a_filter_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, made: str, problem: str | None
) -> None:
    module = f"vendor_of_{name}_{made.lower()}"
    (tmp_path / f"{module}.py").write_text(
        "class VendorToxicity:\n    def find(self, text, settings):\n        return []\n\n\nclass NoFilter: ...\n"
    )
    (tmp_path / f"{module}-1.dist-info").mkdir()
    (tmp_path / f"{module}-1.dist-info" / "METADATA").write_text(f"Name: {module}\nVersion: 1\n")
    (tmp_path / f"{module}-1.dist-info" / "entry_points.txt").write_text(
        f"[signoff.filters]\n{name} = {module}:{made}\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    if problem is None:
        found = default_filters.__wrapped__()
        assert type(found["toxicity"]).__name__ == made
        assert apply_filters([FilterUse("toxicity", "block")], {"text": "you idiot"}, found).results == ()
    else:
        with pytest.raises(InvalidError, match=problem):
            default_filters.__wrapped__()
