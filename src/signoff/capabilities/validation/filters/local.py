"""The filters that come with Signoff. All run here; nothing is asked over the network."""

from __future__ import annotations

import html
import re
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import nh3

from signoff.capabilities.validation.filters.model import Found
from signoff.core.patterns import pattern_of
from signoff.governance.privacy import ALL_KINDS, GROUPS, NAME_KINDS, Detector, Finding

Settings = Mapping[str, tuple[str, ...]]

TAGS = frozenset(
    (
        *("a", "b", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "hr", "i", "li", "ol", "p", "pre"),
        *("span", "strong", "table", "tbody", "td", "th", "thead", "tr", "u", "ul"),
    )
)
"""What sanitised HTML may have. No images: one that is loaded tells its sender that the mail was read."""
SCHEMES = frozenset({"https", "http", "mailto", "tel"})
"""Where its links may lead."""

_LINK = re.compile(
    r"(?:[a-z][a-z0-9+.\-]{1,20}:)?[/\\]{2,}[^\s\"'<>]+|https?:[^\s\"'<>]+|\bwww\.[^\s\"'<>]+", re.IGNORECASE
)
_BARE = re.compile(r"(?<![\w@./\\-])(?:[\w-]{1,63}\.)+[a-z]{2,24}/[^\s\"'<>]*", re.IGNORECASE)
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_PUNCTUATION = ".,;!?)]}*_'\"\u2026\u00bb\u201d\u2019"
_LEET = str.maketrans("013457@$", "oieastas")

INSULTS = (
    *("idiot", "idiots", "idiotic", "moron", "morons", "imbecile", "stupid", "dumbass", "asshole", "bastard", "bitch"),
    *(
        "bullshit",
        "cretin",
        "dimwit",
        "fuck",
        "fucking",
        "fucker",
        "shithead",
        "scumbag",
        "retard",
        "retarded",
        "whore",
    ),
    *("shut up", "go to hell", "drop dead", "kill yourself", "i will hurt you", "you will regret", "we will find you"),
)
"""The words of the filter `toxicity`: the plainest insults and threats of English, and no more."""


def visible(text: str) -> str:
    """What a reader sees of HTML or plain text: no tags, no entities, no unseen characters."""
    return _UNSEEN.sub("", html.unescape(nh3.clean(text, tags=set())))


class HtmlFilter:
    """Leaves the elements of `TAGS`, links of `SCHEMES`, and nothing that runs, loads or styles (nh3, ammonia)."""

    def find(self, text: str, settings: Settings) -> Sequence[Found]:  # noqa: ARG002  (the protocol has it)
        """The whole text, where sanitising changes it."""
        # Without the `rel` that nh3 would add: every text with a link would count as changed. No link has a target.
        attributes = {"a": {"href", "title", "rel"}}
        clean = nh3.clean(text, tags=set(TAGS), attributes=attributes, url_schemes=set(SCHEMES), link_rel=None)
        return [Found("its HTML was sanitised", 0, len(text), clean)] if clean != text else []


class PatternFilter:
    """Personal data or secrets, by the patterns and checksums of `governance.privacy`; no language model.

    Args:
        kinds: what is looked for.
    """

    def __init__(self, kinds: frozenset[str]) -> None:
        self._kinds = kinds - NAME_KINDS
        self._detector = Detector()
        self._lock = threading.Lock()

    def find(self, text: str, settings: Settings) -> Sequence[Found]:
        """Each piece of data of its kinds that `allow` does not name."""
        kinds = self._kinds - frozenset(settings.get("allow", ()))
        with self._lock:
            found: list[Finding] = self._detector.find(text, kinds)
        return [Found(f"has {item.kind}", item.start, item.end, f"[{item.kind}]") for item in found]


class LinkFilter:
    """Links to hosts that the prompt does not list, however a browser or a mail program would read them."""

    def find(self, text: str, settings: Settings) -> Sequence[Found]:
        """Each host that is not one of `hosts`, nor below one."""
        allowed = [host.casefold().rstrip(".") for host in settings.get("hosts", ())]
        # Browsers take entities apart first, and tabs and line breaks out of addresses.
        readable = _UNSEEN.sub("", unicodedata.normalize("NFKC", html.unescape(text)))
        hosts: dict[str, None] = {}
        for link in (*_LINK.findall(readable), *_BARE.findall(readable)):
            hosts.setdefault(_host(link))
        return [
            Found(f"links to {host or 'an address without a host'}")
            for host in hosts
            if not host or not any(host == known or host.endswith(f".{known}") for known in allowed)
        ]


class WordFilter:
    """Words and patterns that the project names, and some of its own.

    Args:
        words: its own words.
        reason: for people.
    """

    def __init__(self, words: Sequence[str] = (), *, reason: str) -> None:
        self._words, self._reason = tuple(words), reason

    def find(self, text: str, settings: Settings) -> Sequence[Found]:
        """Each of its words and patterns that stands in the text; spelling tricks with digits and accents included."""
        plain = _folded(visible(text))
        spelt = plain.translate(_LEET)
        found: list[Found] = []
        for word in (*self._words, *settings.get("words", ())):
            spelled = r"\s+".join(re.escape(part) for part in _folded(word).split())
            pattern = re.compile(rf"(?<!\w){spelled}(?!\w)")
            if pattern.search(plain) or pattern.search(spelt):
                found.append(Found(f"{self._reason}: '{word}'"))
        shown = visible(text)
        found += [
            Found(f"{self._reason}: /{source}/")
            for source in settings.get("patterns", ())
            if pattern_of(source).occurs_in(shown)
        ]
        return found


def secrets() -> PatternFilter:
    """Keys, tokens and passwords."""
    return PatternFilter(GROUPS["secrets"])


def personal_data() -> PatternFilter:
    """Personal data that patterns find: contacts, numbers of accounts, cards and papers; no names, no addresses."""
    return PatternFilter((GROUPS["pii"] - GROUPS["secrets"]) & ALL_KINDS)


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign)).casefold()


def _host(link: str) -> str:
    address = re.sub(r"[\t\r\n]", "", link).replace("\\", "/")
    scheme, colon, rest = address.partition(":")
    rest = rest if colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.\-]*", scheme) and "/" not in scheme else address
    try:
        host = urlsplit(f"//{rest.lstrip('/')}").hostname
    except ValueError:
        return ""
    # What ends a sentence or a Markdown link belongs to no host.
    return (host or "").rstrip(_PUNCTUATION).casefold()
