"""Patterns that no country owns: cards, accounts, contacts, dates, ages, secrets, addresses' shapes."""

from __future__ import annotations

import ipaddress
import re

from signoff.governance.privacy.checksums import luhn, mod_97
from signoff.governance.privacy.rules import Rule, number

_MONTHS = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DATE = (
    r"(?:\d{4}-\d{1,2}-\d{1,2}(?:[ T]\d{1,2}:\d{2}(?::\d{2})?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})|\d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2})|\d{1,2}-\d{1,2}-\d{4}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTHS},? \d{{4}}|{_MONTHS} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}"
    rf"|{_MONTHS} \d{{4}})"
)
_CARD_LENGTHS = (12, 19)
_ISSUER = r"(?:[3-6]\d|2[2-7]|18(?=00)|21(?=31))"  # banks and travel; 18 and 21 are JCB's old numbers
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23,
    "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28,
    "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24,
    "TR": 26, "UA": 29, "VG": 24, "XK": 20,
}  # fmt: skip


def _card(digits: str) -> bool:
    return _CARD_LENGTHS[0] <= len(digits) <= _CARD_LENGTHS[1] and len(set(digits)) > 1 and luhn(digits)


def _iban(text: str) -> bool:
    return _IBAN_LENGTHS.get(text[:2]) == len(text) and mod_97(text)


def _ipv6(text: str) -> bool:
    try:
        return len(text) > len("::1") and ipaddress.ip_address(text).version == 6  # noqa: PLR2004  (IPv6)
    except ValueError:
        return False


_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"

GENERAL: tuple[Rule, ...] = (
    Rule("card", "CREDIT_CARD", number(rf"(?<!\+)(?<!\d{{4}}[ -]){_ISSUER}(?:[ -]?\d){{10,17}}"), "ISO/IEC 7812-1; issuers' first digits", _card),
    Rule(
        "iban",
        "IBAN_CODE",
        re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z\d]{4}){2,6}(?: ?[A-Z\d]{1,4})?(?!\w)"),
        "ISO 13616-1; lengths of the SWIFT IBAN registry",
        _iban,
    ),
    Rule(
        "email",
        "EMAIL_ADDRESS",
        re.compile(r"(?<![\w.+-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}(?<!\.)@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}(?![\w@])"),
        "RFC 5322, section 3.4.1, without quoted local parts",
    ),
    Rule(
        "url",
        "URL",
        re.compile(r"(?i)(?<![\w@])(?:(?:https?|ftp)://|www\.)[^\s<>\"']+[^\s<>\"'.,;:!?)\]}]"),
        "RFC 3986",
    ),
    Rule("ethereum", "CRYPTO_ADDRESS", re.compile(r"(?<!\w)0x[0-9a-fA-F]{40}(?!\w)"), "EIP-55"),
    Rule("bitcoin", "CRYPTO_ADDRESS", re.compile(r"(?<!\w)(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71})(?!\w)"), "BIP-13, BIP-173"),
    Rule(
        "birth",
        "DATE_OF_BIRTH",
        re.compile(rf"(?i)(?:\bborn(?: on)?|\bbirth\s?day|\bdate of birth|\bbirth ?date|\bd\.?o\.?b\.?)\W{{1,4}}(?:(?:it'?s?|is|was)\W+)?(?:it'?s\W+)?(?P<value>{_DATE})"),
        "words that say so",
    ),
    Rule("date", "DATE_TIME", re.compile(rf"(?i)(?<![\w/.-]){_DATE}(?![\w/-]|\.\d)"), "ISO 8601 and common forms", checked=False),
    Rule("weekday", "DATE_TIME", re.compile(r"(?<!\w)(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day(?!\w)"), "English", checked=False),
    Rule("year", "DATE_TIME", re.compile(r"(?i)(?:\b(?:in|since|of|until|from|by|during|circa)\s)(?P<value>(?:1[89]|20)\d\d)(?![\w/-]|\.\d|,\d)"), "English", checked=False),
    Rule(
        "age",
        "AGE",
        re.compile(
            r"(?i)(?:\b(?P<value>\d{1,3})(?=[ -]?(?:years?|yrs?)[ -]?old|[ -]?y/?o\b|[ -]year[ -]olds?)"
            r")"
        ),
        "words that say so",
        checked=False,
    ),
    Rule(
        "age-after",
        "AGE",
        re.compile(
            r"(?i)\b(?:age(?:d)?(?: of)?:?|(?:i|he|she)(?:'ll|'s| will| just| has)? (?:just )?turn(?:ed|s)?|turning|i'm|i am|(?:he|she)(?:'s| is)) (?P<value>\d{1,3})(?=\s*(?:[.,;!?)]|$|and|now|today))(?!\.\d)"
        ),
        "words that say so",
        checked=False,
    ),
    Rule(
        "driver-license",
        "DRIVER_LICENSE",
        re.compile(r"(?i)\b(?:driver'?s?|driving) licen[cs]e\D{0,24}?(?P<value>[A-Z]{0,3}\d[\dA-Z-]{4,18})(?!\w)"),
        "words that say so",
    ),
    Rule(
        "passport",
        "PASSPORT",
        re.compile(r"(?i)\bpassport(?: (?:number|no\.?|nr\.?|#))?\W{0,3}(?:is\W)?\W{0,2}(?P<value>[A-Z]{0,2}\d{6,9})(?!\w)"),
        "ICAO 9303, part 4",
    ),
    Rule("ipv4", "IP_ADDRESS", re.compile(rf"(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w]|\.\d)"), "RFC 791"),
    Rule("ipv6", "IP_ADDRESS", re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])"), "RFC 4291", _ipv6),
)  # fmt: skip
