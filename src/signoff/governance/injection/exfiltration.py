"""Whether a text about to leave could carry data out: links, encoded data, canaries. Pure functions, no network.

A picture is fetched by whatever shows the text, so one on an unknown host sends its address away with no click
(Greshake et al., AISec 2023). Canaries are marks put into prompts that no honest answer repeats.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from signoff.governance.injection.canaries import canary_places
from signoff.governance.injection.encoded import encoded_places

Verdict = Literal["allow", "flag", "block"]
Kind = Literal["image", "link", "script", "encoded", "canary", "length"]

MAX_CHARACTERS = 200_000
"""Read of one text. A longer one is blocked, as its rest was not read."""
MAX_FINDINGS = 100
"""Reported of one text; the verdict counts all."""
DATA_CHARACTERS = 24
"""A run of so many letters and digits in an address's path, query or host counts as data and not as a name."""

_BLOCKING: frozenset[Kind] = frozenset({"image", "script", "canary", "length"})
# Browsers take a backslash for a slash, and any number of either after `https:`.
_REST = r"[^\s<>\"'`)\]]+"
_ADDRESS = rf"(?:(?:https?|wss?|ftps?):[\\/]*|[\\/]{{2}}){_REST}"
_IMAGES = re.compile(
    rf"!\[[^\]]{{0,500}}\]\(\s*<?(?P<inline>{_ADDRESS})"
    rf"|<(?:img|image|iframe|video|audio|source|embed|object|link|input)\b[^>]{{0,500}}?"
    rf"\b(?:src|srcset|href|data|poster)\s*=\s*(?:[\"']\s*)?(?P<tag>{_ADDRESS})"
    rf"|url\(\s*[\"']?(?P<style>{_ADDRESS})",
    re.IGNORECASE,
)
_REFERENCED = re.compile(r"!\[[^\]]{0,500}\]\s?\[(?P<label>[^\]]{0,200})\]|!\[(?P<own>[^\]]{1,200})\](?![\[(])")
_DEFINITION = re.compile(
    rf"^[ ]{{0,3}}\[(?P<label>[^\]]{{1,200}})\]:\s*<?(?P<address>{_ADDRESS})", re.MULTILINE | re.IGNORECASE
)
_LINKS = re.compile(
    rf"\b(?:https?|wss?|ftps?):[\\/]*{_REST}|(?<=[(\"'=<])[\\/]{{2}}{_REST}|\bwww\.{_REST}|\bmailto:{_REST}",
    re.IGNORECASE,
)
_SCRIPT = re.compile(r"\b(?:javascript|vbscript)\s*:|<script\b|\bdata:text/html", re.IGNORECASE)
_LEADS = re.compile(r"[:/\\<]|www\.", re.IGNORECASE)
"""What every address and script has: most answers have none of it, and are looked at no further."""
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?/*", re.IGNORECASE)
_DATA = re.compile(rf"[A-Za-z0-9+/=_%-]{{{DATA_CHARACTERS},}}")


@dataclass(frozen=True, slots=True)
class ExfiltrationFinding:
    """One reason for a verdict. It names a host and a place, never the data.

    Attributes:
        kind: `image` and `script` act without a click; `link` waits for one.
        start: the first character, from 0.
        end: the one after the last.
        host: where an address leads; empty for other kinds.
        carries_data: the address has more in it than a name.
    """

    kind: Kind
    start: int
    end: int
    host: str = ""
    carries_data: bool = False


@dataclass(frozen=True, slots=True)
class ExfiltrationReport:
    """The verdict on a text, and why.

    Attributes:
        verdict: `block` for what sends data without a click, carries it in an address, or holds a canary; `flag` for
            links to unknown hosts and for encoded data, which honest texts have too; `allow` where nothing was found.
        findings: in the order of the text, at most `MAX_FINDINGS`.
    """

    verdict: Verdict
    findings: tuple[ExfiltrationFinding, ...]


def check_outgoing(text: str, *, hosts: Collection[str] = (), canaries: Collection[str] = ()) -> ExfiltrationReport:
    """Checks a text before it is sent, shown or handed to a tool.

    Args:
        text: Markdown, HTML or plain.
        hosts: those that addresses may lead to: `example.com` itself, `*.example.com` what is below it.
        canaries: marks that may not leave, of eight characters at least, in whatever common encoding.

    Raises:
        InvalidError: a canary is too short to be told from ordinary words.
    """
    found: list[ExfiltrationFinding] = []
    if _LEADS.search(text) is not None:
        found += _addresses(text[:MAX_CHARACTERS], hosts)
        found += [ExfiltrationFinding("script", *match.span()) for match in _SCRIPT.finditer(text[:MAX_CHARACTERS])]
    found += [ExfiltrationFinding("canary", *place) for place in canary_places(text[:MAX_CHARACTERS], canaries)]
    found += [ExfiltrationFinding("encoded", *place) for place in encoded_places(text[:MAX_CHARACTERS])]
    if len(text) > MAX_CHARACTERS:
        found.append(ExfiltrationFinding("length", MAX_CHARACTERS, len(text)))
    found.sort(key=lambda finding: (finding.start, finding.end))
    blocked = any(finding.kind in _BLOCKING or finding.carries_data for finding in found)
    return ExfiltrationReport("block" if blocked else "flag" if found else "allow", tuple(found[:MAX_FINDINGS]))


def _addresses(text: str, hosts: Collection[str]) -> Iterator[ExfiltrationFinding]:
    pictures = {match.span(match.lastgroup or 0) for match in _IMAGES.finditer(text)}
    labels = {(match["label"] or match["own"] or "").casefold() for match in _REFERENCED.finditer(text)}
    pictures |= {match.span("address") for match in _DEFINITION.finditer(text) if match["label"].casefold() in labels}
    starts = {start for start, _ in pictures}
    links = {match.span() for match in _LINKS.finditer(text) if match.start() not in starts}
    found: tuple[tuple[Kind, set[tuple[int, int]]], ...] = (("image", pictures), ("link", links))
    for kind, places in found:
        for start, end in places:
            host, rest = _parts(text[start:end])
            if not _is_known(host, hosts):
                yield ExfiltrationFinding(kind, start, end, host, _DATA.search(f"{host}/{rest}") is not None)


def _parts(address: str) -> tuple[str, str]:
    """The host that a browser would ask, and what it would be told."""
    if "\\" in address:
        return "", address  # browsers and libraries disagree on whose host it is
    rest = _SCHEME.sub("", address, count=1)
    if address[:7].lower() == "mailto:":
        receiver, _, rest = rest.partition("?")
        return receiver.rpartition("@")[2].lower(), rest
    try:
        split = urlsplit(f"//{rest}")
        host = (split.hostname or "").rstrip(".")
        return host.encode("idna").decode(), f"{split.path}?{split.query}#{split.fragment}"
    except (ValueError, UnicodeError):
        return "", rest


def _is_known(host: str, hosts: Collection[str]) -> bool:
    return any(
        host.endswith(known[1:].lower()) if known.startswith("*.") else host == known.lower() for known in hosts if host
    )
