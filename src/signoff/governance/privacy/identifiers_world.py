"""National numbers of countries outside Europe, with their check digits."""

from __future__ import annotations

from collections.abc import Callable

from signoff.governance.privacy.checksums import luhn, verhoeff, weighted
from signoff.governance.privacy.identifiers_europe import day
from signoff.governance.privacy.rules import Rule, number, words

_RIC_CHECKS = "10X98765432"
_NRIC_CITIZENS, _NRIC_FOREIGNERS = "JZIHGFEDCBA", "XWUTRQPNMLK"


def _ssn(digits: str) -> bool:
    """Since 2011 any area but 000, 666 and from 900; no part is all zeros."""
    area = digits[:3]
    return area not in ("000", "666") and area < "900" and digits[3:5] != "00" and digits[5:] != "0000"


def _itin(digits: str) -> bool:
    group = int(digits[3:5])
    return 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or group >= 94  # noqa: PLR2004  (IRS's ranges)


def _routing(digits: str) -> bool:
    return int(digits) > 0 and weighted(digits, (3, 7, 1) * 3) % 10 == 0


def _cpf(digits: str) -> bool:
    """Numbers of one repeated digit pass the sums and are none."""
    if len(set(digits)) == 1:
        return False
    first = weighted(digits, range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(digits, range(11, 1, -1)) * 10 % 11 % 10
    return (first, second) == (int(digits[9]), int(digits[10]))


def _tfn(digits: str) -> bool:
    return weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def _medicare(digits: str) -> bool:
    return weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(digits[8])


def _sin(digits: str) -> bool:
    return digits[0] not in "08" and luhn(digits)


def _za_id(digits: str) -> bool:
    return day(2000 + int(digits[:2]), int(digits[2:4]), int(digits[4:6])) and luhn(digits)


def _rrn(digits: str) -> bool:
    """Since October 2020 the last digits are random: what is left is the date."""
    return day(2000 + int(digits[:2]), int(digits[2:4]), int(digits[4:6])) and digits[6] in "12345678"


def _ric(text: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    born = day(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    return born and _RIC_CHECKS[weighted(text[:17], weights) % 11] == text[17]


def _nric(text: str) -> bool:
    total = weighted(text[1:8], (2, 7, 6, 5, 4, 3, 2)) + (4 if text[0] in "TG" else 0)
    letters = _NRIC_CITIZENS if text[0] in "ST" else _NRIC_FOREIGNERS
    return letters[total % 11] == text[8]


def _thai(digits: str) -> bool:
    return (11 - weighted(digits, range(13, 1, -1)) % 11) % 10 == int(digits[12])


def _tckn(digits: str) -> bool:
    odd, even = sum(int(digit) for digit in digits[0:9:2]), sum(int(digit) for digit in digits[1:8:2])
    return (odd * 7 - even) % 10 == int(digits[9]) and (odd + even + int(digits[9])) % 10 == int(digits[10])


def _rut(text: str) -> bool:
    total = sum(int(digit) * (2 + place % 6) for place, digit in enumerate(reversed(text[:-1])))
    return "0K987654321"[total % 11] == text[-1]


def _cuit(digits: str) -> bool:
    return (11 - weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11 == int(digits[10])


def _of(
    name: str, pattern: str, valid: Callable[[str], bool], source: str, *context: str, kind: str = "NATIONAL_ID"
) -> Rule:
    return Rule(name, kind, number(pattern), source, valid, words(*context) if context else None)


def _strict(_: str) -> bool:
    """The format alone says enough."""
    return True


WORLD: tuple[Rule, ...] = (
    _of("us-ssn", r"\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}", _ssn, "SSA POMS RM 10201.035", kind="US_SSN"),
    _of("us-ssn-bare", r"\d{9}", _ssn, "SSA POMS RM 10201.035", "ssns?", "social security\\S*", kind="US_SSN"),
    _of("us-itin", r"9\d\d-\d{2}-\d{4}", _itin, "IRS Publication 1915"),
    _of("us-routing", r"[0-3]\d{8}", _routing, "ABA Key to Routing Numbers", "routing", "aba", kind="BANK_ACCOUNT"),
    _of("br-cpf", r"\d{3}\.\d{3}\.\d{3}-\d\d|\d{11}", _cpf, "Receita Federal, IN RFB 1548/2015"),
    _of("in-aadhaar", r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", verhoeff, "UIDAI: Aadhaar numbering scheme, 2010"),
    _of("in-pan", r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]", _strict, "Income-tax Rules 1962, rule 114"),
    _of("au-tfn", r"\d{3} ?\d{3} ?\d{3}", _tfn, "ATO: TFN declaration specification", "tfn", "tax file\\S*"),
    _of("au-medicare", r"[2-6]\d{3} ?\d{5} ?\d", _medicare, "Services Australia: Medicare", "medicare"),
    _of("ca-sin", r"\d{3}[ -]\d{3}[ -]\d{3}", _sin, "Service Canada: SIN Code of Practice"),
    _of("ca-sin-bare", r"\d{9}", _sin, "Service Canada: SIN Code of Practice", "sin", "social insurance"),
    _of("za-id", r"\d{10}[01]\d{2}", _za_id, "Identification Act 68 of 1997"),
    _of("kr-rrn", r"\d{6}-[1-8]\d{6}", _rrn, "Resident Registration Act"),
    _of("cn-ric", r"[1-9]\d{16}[\dXx]", _ric, "GB 11643-1999"),
    _of("sg-nric", r"[STFG]\d{7}[A-Z]", _nric, "National Registration Act 1965"),
    _of("th-id", r"\d-\d{4}-\d{5}-\d{2}-\d|\d{13}", _thai, "DOPA: citizen identification number"),
    _of("tr-tckn", r"[1-9]\d{10}", _tckn, "MERNIS", "tckn", "t\\.?c\\.?", "kimlik"),
    _of("mx-curp", r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{2}[B-DF-HJ-NP-TV-Z]{3}[A-Z\d]\d", _strict, "RENAPO, 2008"),
    _of("cl-rut", r"\d{1,2}\.\d{3}\.\d{3}-[\dKk]", _rut, "Servicio de Registro Civil: RUN"),
    _of("ar-cuit", r"(?:2[0347]|3[034])-\d{8}-\d", _cuit, "AFIP, RG 10/97"),
)
