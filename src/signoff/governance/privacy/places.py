"""Places, addresses, peoples and companies: the local model's word, the grammar of addresses, and a small gazetteer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from signoff.governance.privacy.model import Finding
from signoff.governance.privacy.names import THRESHOLD, Word
from signoff.governance.privacy.spans import Spans

GROUP_KINDS = frozenset({"NRP", "TITLE", "ZIP_CODE", "ORGANIZATION"})
"""What `find_groups` finds."""
_ADDRESS_THRESHOLD = 0.45
_UNIT = r"(?:Apt|Apartment|Suite|Ste|Unit|Flat|Room|Rm|Floor|Box|P\.?O\.? Box)\.?"
_STREET_TYPE = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Courts|Ct|Place|Pl|Square|Sq|Terrace|Way|Highway|Hwy"
    r"|Parkway|Pkwy|Crescent|Close|Alley|Trail|Circle|Plaza|Streets)"
)
_PATTERNS = (
    # USPS Publication 28, section 238: military addresses.
    re.compile(r"(?:(?:PSC|CMR|Unit)[ -]\d{1,5},? Box \d{1,6}|US(?:S|NS|CGC|NV) [A-Z][a-z]+)[,\s]{1,3}(?:APO|FPO|DPO),? A[AEP],? \d{5}(?:-\d{4})?"),
    re.compile(rf"\b\d{{1,5}}[A-Za-z]?,? (?:[NSEW]\.? )?(?:[^\W\d_a-z][\w'’-]+ ){{1,3}}{_STREET_TYPE}(?!\w)\.?(?:,? {_UNIT} ?#?\w{{1,6}})?"),
    re.compile(r"(?i)\bthe corner of [\w'’ .]{3,40}? and [\w'’-]+(?: [\w'’-]+)?? [^\W\d_]+(?=[.,\n]|$)"),
    re.compile(rf"(?i)(?<!\w){_UNIT} ?\d{{1,5}}[a-z]?(?!\w)"),
)  # fmt: skip
_UNIT_WORD = re.compile(rf"(?i){_UNIT}$")
_GLUE = re.compile(r"[\s,.;>]*")
_PARTS = re.compile(r"\s*\n[\s>]*")
_MOST_BETWEEN = 4
SURE = 0.9
"""How sure of a place without a capital the model must be."""
_CODE_DIGITS = 4
_PLACE_JOINS = re.compile(
    r" |-|[ ]?\. ?|(?: (?:de|la|del|of|the|am|an der|sur|upon|i|en|el|le|do|da|dos) (?:la |los |las |el )?)"
)
_NATIONALITIES = (
    "Afghan Albanian Algerian American Argentinian Argentine Armenian Australian Austrian Azerbaijani Bahraini Bangladeshi Belarusian Belgian"
    " Bolivian Bosnian Brazilian British Bulgarian Burmese Cambodian Cameroonian Canadian Chilean Chinese Colombian Croatian Cuban Cypriot Czech"
    " Danish Dutch Ecuadorian Egyptian English Estonian Ethiopian European Filipino Finnish French Georgian German Ghanaian Greek Guatemalan"
    " Haitian Hungarian Icelandic Indian Indonesian Iranian Iraqi Irish Israeli Italian Jamaican Japanese Jordanian Kazakh Kenyan Korean Kuwaiti"
    " Latvian Lebanese Libyan Lithuanian Malaysian Maltese Mexican Moldovan Mongolian Moroccan Nepali Nepalese Nigerian Norwegian Pakistani"
    " Palestinian Peruvian Polish Portuguese Qatari Romanian Russian Saudi Scottish Senegalese Serbian Singaporean Slovak Slovenian Somali"
    " Spanish Sudanese Swedish Swiss Syrian Taiwanese Thai Tunisian Turkish Ugandan Ukrainian Uruguayan Uzbek Venezuelan Vietnamese Welsh"
    " Yemeni Zambian Zimbabwean African Asian Hispanic Latino Latina Arab Kurdish Swede Dane Finn Pole Scot Spaniard Turk Serb Croat"
    " Christian Catholic Protestant Orthodox Muslim Islamic Jewish Buddhist Hindu Sikh Mormon Jehovah Democrat Republican Conservative Communist"
    " Socialist Greenlander Fijian Bahamian Cuban Barbadian Angolan Rwandan Tanzanian Macedonian Montenegrin Luxembourger"
).split()  # fmt: skip
_SMALL_TOO = frozenset(
    "Afghanistan Albania Algeria America Argentina Asia Australia Austria Bangladesh Belgium Brazil Britain Canada Chile Colombia Croatia Denmark"
    " Egypt England Europe Finland France Germany Greece Hollywood Hungary Iceland India Indonesia Iran Iraq Ireland Israel Italy Jamaica Japan"
    " Kenya Korea Kuwait Lebanon Malaysia Mexico Morocco Nepal Netherlands Nigeria Norway Pakistan Peru Philippines Poland Portugal Romania"
    " Russia Scotland Serbia Singapore Spain Sweden Switzerland Syria Taiwan Thailand Uganda Ukraine Vietnam Wales Zimbabwe London Berlin"
    " California Texas Florida".split()
)
"""What people also write small, and is no other word."""
_PEOPLES = re.compile(rf"(?i:(?<!\w)(?:{'|'.join(sorted(set(_NATIONALITIES), key=len, reverse=True))})s?(?!\w))")
# Words are bounded: of a run of a megabyte without a space each place would read the rest.
_COMPANY = re.compile(
    r"(?<!\w)(?:(?:[^\W\d_a-zà-ÿ][\w'’.-]{0,40}|&|and|of) ){0,4}[^\W\d_a-zà-ÿ][\w'’-]{0,40},? "
    r"(?:Inc|Corp|Corporation|Company|LLC|Ltd|Limited|GmbH|AG|SA|S\.A|PLC|plc|LLP|Group|Holdings|Industries|Bank|Partners|Associates|Technologies|Systems|Foundation|University)(?!\w)\.?"
)  # fmt: skip
_FIRM = re.compile(
    r"(?:(?<=from )|(?<=for )|(?<=at )|(?<![^\n])>?)[^\W\d_]+(?:-[^\W\d_]+)?, [^\W\d_]+(?:-[^\W\d_]+)? and [^\W\d_]+(?=$|\n| is | was | in |[.,?!])"
)
_AND_SONS = re.compile(r"(?<!\w)[^\W\d_a-z][\w'-]{1,40},? (?:and|&) Sons(?!\w)")
_EMPLOYER = re.compile(
    r"\b(?:work(?:s|ed|ing)? (?:for|at)|employed (?:by|at)|employer is|Company:|company:)\s+(?P<value>(?:[^\W\d_a-z][\w'&.-]*)(?: (?:[^\W\d_a-z][\w'&.-]*|&|and|of)){0,4})"
)
_IS_A_COMPANY = re.compile(
    r"(?<!\w)(?P<value>[^\W\d_a-z][\w'&.-]{0,40}(?: (?:[^\W\d_a-z][\w'&.-]{0,40}|&|and|of)){0,3}) is (?:an?|the) (?:[\w-]{1,40} ){0,4}?"
    r"(?:company|agency|bank|firm|start-?up|provider|manufacturer|corporation|retailer|supplier|brainchild)\b"
)
_TITLE = re.compile(r"(?<!\w)(?:Mr|Mrs|Ms|Miss|Dr|Prof|Mx)\.?(?= [^\W\d_a-z])")
_ZIP = re.compile(
    r"(?i)\b(?:zip(?: ?code)?|postal code|postcode)\W{1,3}(?:is\W)?(?P<value>\d{4,5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2})(?!\w)"
)


def find_addresses(text: str, words: Sequence[Word]) -> list[Finding]:
    """Addresses: runs of streets, numbers, places and codes with at least a street or a unit; and those with a grammar."""
    found = [
        Finding(*match.span(), "ADDRESS", "address-form") for pattern in _PATTERNS for match in pattern.finditer(text)
    ]
    for whole in _runs(text, words):
        run = _without_heading(text, whole)
        number = any(any(map(str.isdigit, word.text)) for word in run)
        street = any(word.street >= THRESHOLD and not word.text.isdigit() for word in run)
        if number and street:
            start, end = run[0].start, run[-1].end
            while (
                end < len(text)
                and text[end : end + 1] == "."
                and text[end - 1].isdigit()
                and "\n" in text[end : end + 2]
            ):
                end += 1
            found.extend(_in_parts(text, start, end, run))
    return _widest(found)


def _without_heading(text: str, run: list[Word]) -> list[Word]:
    """Without the lines before the first number: there stands who lives there."""
    numbered = next((place for place, word in enumerate(run) if any(map(str.isdigit, word.text))), 0)
    line_start = text.rfind("\n", 0, run[numbered].start) + 1
    return [word for word in run if word.start >= line_start]


def _runs(text: str, words: Sequence[Word]) -> list[list[Word]]:
    runs: list[list[Word]] = []
    for word in words:
        part = (
            word.street + word.place >= _ADDRESS_THRESHOLD
            or _UNIT_WORD.fullmatch(word.text) is not None
            or (word.text.isdigit() and len(word.text) <= 6 and bool(runs) and word.start - runs[-1][-1].end <= 2)  # noqa: PLR2004  (a comma and a space)
        )
        if not part:
            continue
        if (
            runs
            and word.start - runs[-1][-1].end <= _MOST_BETWEEN
            and _GLUE.fullmatch(text[runs[-1][-1].end : word.start])
        ):
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def _in_parts(text: str, start: int, end: int, run: Sequence[Word]) -> list[Finding]:
    """A block of lines is a finding a line, its places apart, as whoever reads it would mark them; else all is one."""
    before = text[:start].rstrip(" >")
    block = "\n" in text[start:end] and (not before or before.endswith("\n")) and not before.rstrip().endswith(":")
    if not block:
        return [Finding(start, end, "ADDRESS", "model")]
    parts: list[Finding] = []
    line_start = start
    for line in (*_PARTS.finditer(text, start, end), None):
        line_end = end if line is None else line.start()
        mine = [word for word in run if line_start <= word.start < line_end]
        parts.extend(_of_line(mine, line_end, text, first=line_start == start))
        line_start = end if line is None else line.end()
    return parts


def _of_line(line: list[Word], line_end: int, text: str, *, first: bool) -> list[Finding]:
    """A line of a block: numbers before and codes after what has letters stand alone."""
    if not line:
        return []
    found: list[Finding] = []
    last = line[-1]
    places = [word for word in line if not word.text.isdigit()]
    coded = not first and last.text.isdigit() and len(last.text) >= _CODE_DIGITS
    unit = any(_UNIT_WORD.fullmatch(word.text) for word in line)
    is_place = bool(places) and not unit and (coded or sum(word.place - word.street for word in places) > 0)
    if is_place:
        found.append(Finding(places[0].start, places[-1].end, "LOCATION", "model"))
        found.extend(Finding(word.start, word.end, "ADDRESS", "model") for word in line if word.text.isdigit())
        return sorted(found)
    if first and len(line) > 2 and line[0].text.isdigit() and (last.text.isdigit() or line[1].text.isdigit()):  # noqa: PLR2004  (a number beside the street's)
        found.append(Finding(line[0].start, line[0].end, "ADDRESS", "model"))
        line = line[1:]
    end = last.end + (1 if text[last.end : last.end + 1] == "." and last.end < line_end else 0)
    found.append(Finding(line[0].start, end, "ADDRESS", "model"))
    return found


def find_places(text: str, words: Sequence[Word]) -> list[Finding]:
    """Cities, states and countries: what the model takes for one, and the gazetteer's."""
    found = [Finding(*match.span(), "LOCATION", "gazetteer") for match in _gazetteer().finditer(text)]
    run: list[Word] = []
    for word in words:
        if word.place < THRESHOLD or word.text.isdigit() or not (word.text[0].isupper() or word.place > SURE):
            continue
        if run and not _PLACE_JOINS.fullmatch(text[run[-1].end : word.start]):
            found.append(Finding(run[0].start, run[-1].end, "LOCATION", "model"))
            run = []
        run.append(word)
    if run:
        found.append(Finding(run[0].start, run[-1].end, "LOCATION", "model"))
    return _widest(found)


def find_groups(text: str) -> list[Finding]:
    """Peoples and creeds, companies, forms of address: by their words and shapes."""
    found = [Finding(*match.span(), "NRP", "peoples") for match in _PEOPLES.finditer(text)]
    found += [Finding(*match.span(), "TITLE", "title") for match in _TITLE.finditer(text)]
    found += [Finding(*match.span("value"), "ZIP_CODE", "zip") for match in _ZIP.finditer(text)]
    companies = [
        Finding(*match.span(), "ORGANIZATION", "company")
        for pattern in (_COMPANY, _FIRM, _AND_SONS)
        for match in pattern.finditer(text)
    ]
    companies += [
        Finding(*match.span("value"), "ORGANIZATION", "employer")
        for pattern in (_EMPLOYER, _IS_A_COMPANY)
        for match in pattern.finditer(text)
    ]
    return sorted(found + _widest(companies))


def _widest(found: Sequence[Finding]) -> list[Finding]:
    """Without those that lie in or across a longer one."""
    kept = Spans[Finding]()
    for one in sorted(found, key=lambda item: (item.start - item.end, item.start)):
        if not kept.touching(one.start, one.end):
            kept.add(one)
    return sorted(kept.all())


def is_place(name: str) -> bool:
    """Whether the gazetteer has it."""
    return _gazetteer().fullmatch(name) is not None


@cache
def _gazetteer() -> re.Pattern[str]:
    text = files("signoff.governance.privacy").joinpath("places.txt").read_text(encoding="utf-8")
    names = [line for line in text.splitlines() if line and not line.startswith("#")]
    listed = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    small = "|".join(re.escape(name.lower()) for name in names if name in _SMALL_TOO)
    return re.compile(rf"(?<![\w@#])(?:{listed}|{small})(?!\w)")
