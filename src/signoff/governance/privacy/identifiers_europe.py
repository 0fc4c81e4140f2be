"""National numbers of European countries, with their check digits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from signoff.governance.privacy.checksums import ean13, luhn, mod_11_10, weighted
from signoff.governance.privacy.rules import Rule, number, words

_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU_CHARACTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_PPS_LETTERS = "WABCDEFGHIJKLMNOPQRSTUV"
_FISCAL_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip
_DAYS_OF_COORDINATION = 60  # Sweden adds it to the day of people without a number of their own


def day(year: int, month: int, day_of_month: int) -> bool:
    """Whether there is such a day."""
    try:
        date(year, month, day_of_month)
    except ValueError:
        return False
    return True


def _day_of_century(digits: str, *, year_first: bool) -> bool:
    """Six digits of a birth date without its century, read in a leap century, so that 29 February is one."""
    first, month, last = int(digits[:2]), int(digits[2:4]), int(digits[4:6])
    year, day_of_month = (first, last) if year_first else (last, first)
    return day(2000 + year, month, day_of_month)


def _nino(text: str) -> bool:
    return text[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def _nhs(digits: str) -> bool:
    check = 11 - weighted(digits, range(10, 1, -1)) % 11
    return (0 if check == 11 else check) == int(digits[9])  # noqa: PLR2004  (the modulus)


def _steuer_id(digits: str) -> bool:
    """One digit of the first ten is there twice or three times, the others at most once."""
    counts = sorted((digits[:10].count(digit) for digit in set(digits[:10])), reverse=True)
    return counts[0] in (2, 3) and counts[1] == 1 and mod_11_10(digits)


def _nir(text: str) -> bool:
    """Corsica's departments count as 19 and 18 (INSEE)."""
    base = text[:13].replace("2A", "19").replace("2B", "18")
    return base.isdigit() and 97 - int(base) % 97 == int(text[13:])


def _dni(text: str) -> bool:
    digits = text[:-1].translate(str.maketrans("XYZ", "012"))
    return _DNI_LETTERS[int(digits) % 23] == text[-1]


def _codice_fiscale(text: str) -> bool:
    total = sum(
        _FISCAL_ODD[character] if place % 2 == 0 else int(character, 36) - (0 if character.isdigit() else 10)
        for place, character in enumerate(text[:15])
    )
    return chr(ord("A") + total % 26) == text[15]


def _bsn(digits: str) -> bool:
    return int(digits) > 0 and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _rijksregister(digits: str) -> bool:
    """Who was born from 2000 on has a 2 before the nine digits when the check is computed."""
    check = int(digits[9:])
    return any(97 - int(prefix + digits[:9]) % 97 == check for prefix in ("", "2"))


def _pesel(digits: str) -> bool:
    month = int(digits[2:4]) % 20
    plausible = 1 <= month <= 12 and 1 <= int(digits[4:6]) <= 31  # noqa: PLR2004  (months and days)
    return plausible and (10 - weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10 == int(digits[10])


def _personnummer(text: str) -> bool:
    digits = text.replace("+", "")[-10:]
    born = int(digits[4:6])
    born -= _DAYS_OF_COORDINATION if born > _DAYS_OF_COORDINATION else 0
    return day(2000 + int(digits[:2]), int(digits[2:4]), born) and luhn(digits)


def _hetu(text: str) -> bool:
    digits = text[:6] + text[-4:-1]
    return _day_of_century(digits, year_first=False) and _HETU_CHARACTERS[int(digits) % 31] == text[-1]


def _fodselsnummer(digits: str) -> bool:
    first = weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    second = weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    return first == 0 and second == 0 and int(digits) > 0


def _cpr(digits: str) -> bool:
    """Its check digit was given up in 2007: what is left is the date."""
    return _day_of_century(digits, year_first=False)


def _nif(digits: str) -> bool:
    check = 11 - weighted(digits, range(9, 1, -1)) % 11
    return (0 if check > 9 else check) == int(digits[8])  # noqa: PLR2004  (one digit)


def _svnr(digits: str) -> bool:
    return weighted(digits[:3] + digits[4:], (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11 == int(digits[3])


def _pps(text: str) -> bool:
    extra = text[8:] if len(text) > 8 and text[8] != "W" else ""  # noqa: PLR2004  (a second letter)
    total = weighted(text[:7], range(8, 1, -1)) + (9 * (ord(extra) - 64) if extra else 0)
    return _PPS_LETTERS[total % 23] == text[7]


def _rodne_cislo(digits: str) -> bool:
    month = int(digits[2:4]) % 50 % 20
    return 1 <= month <= 12 and int(digits) % 11 == 0  # noqa: PLR2004  (months)


def _cnp(digits: str) -> bool:
    check = weighted(digits, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return day(2000 + int(digits[1:3]), int(digits[3:5]), int(digits[5:7])) and min(check, 10) % 10 + (
        check == 10  # noqa: PLR2004  (the remainder ten is written as one)
    ) == int(digits[12])


def _egn(digits: str) -> bool:
    month = int(digits[2:4]) % 20
    return 1 <= month <= 12 and weighted(digits, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(digits[9])  # noqa: PLR2004  (months)


def _isikukood(digits: str) -> bool:
    check = weighted(digits, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:  # noqa: PLR2004  (no digit: the second weights decide)
        check = weighted(digits, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return 1 <= int(digits[3:5]) <= 12 and check == int(digits[10])  # noqa: PLR2004  (months)


def _of(
    name: str, pattern: str, valid: Callable[[str], bool], source: str, *context: str, checked: bool = True
) -> Rule:
    near_words = words(*context) if context else None
    return Rule(name, "NATIONAL_ID", number(pattern), source, valid, near_words, checked=checked)


EUROPE: tuple[Rule, ...] = (
    _of("uk-nino", r"(?i:[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D])", _nino, "HMRC NIM39110"),
    _of("uk-nhs", r"\d{3}[ -]\d{3}[ -]\d{4}|\d{10}", _nhs, "NHS Data Dictionary: NHS NUMBER", "nhs", "patient"),
    _of("de-steuer-id", r"[1-9]\d ?\d{3} ?\d{3} ?\d{3}", _steuer_id, "BZSt, § 139b AO", "steuer\\S*", "idnr", "tin", "tax"),
    _of("fr-nir", r"[12] ?\d\d ?(?:[02-9]\d|1[0-2]) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d", _nir, "INSEE: NIR"),
    _of("es-dni-nie", r"(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]", _dni, "Real Decreto 1553/2005, Orden INT/2058/2008"),
    _of(
        "it-codice-fiscale",
        r"(?i:[A-Z]{6}[\dLMNP-V]{2}[A-EHLMPRST][\dLMNP-V]{2}[A-Z][\dLMNP-V]{3}[A-Z])",
        _codice_fiscale,
        "D.M. 23/12/1976",
    ),
    _of("nl-bsn", r"\d{3}[ .-]?\d{3}[ .-]?\d{3}|\d{4}[.]\d\d[.]\d{3}", _bsn, "Wet algemene bepalingen BSN", "bsn", "burgerservicenummer", "sofi\\S*"),
    _of("be-rijksregister", r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d|\d{11}", _rijksregister, "KB 3 April 1984"),
    _of("pl-pesel", r"\d{11}", _pesel, "Ustawa o ewidencji ludności, 2010"),
    _of("se-personnummer", r"(?:19|20)?\d{6}[-+]\d{4}", _personnummer, "Skatteverket SKV 704"),
    _of("fi-hetu", r"\d{6}[-+A-FU-Y]\d{3}[\dA-FHJ-NPR-Y]", _hetu, "Digi- ja väestötietovirasto: henkilötunnus"),
    _of("no-fodselsnummer", r"\d{6} ?\d{5}", _fodselsnummer, "Skatteetaten: fødselsnummer"),
    _of("dk-cpr", r"\d{6}-\d{4}", _cpr, "CPR-kontoret: Personnummeret i CPR", "cpr\\S*", "personnummer", checked=False),
    _of("pt-nif", r"[1-35-9]\d{2} ?\d{3} ?\d{3}", _nif, "Decreto-Lei 14/2013", "nif", "contribuinte", "fiscal"),
    _of("ch-ahv", r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d\d", ean13, "ZAS: AHVN13"),
    _of("at-svnr", r"\d{4} ?\d{6}", _svnr, "§ 31 ASVG", "svnr", "sv-nummer", "sozialversicherung\\S*", "versicherungsnummer"),
    _of("ie-pps", r"\d{7}[A-W][A-IW]?", _pps, "Social Welfare Consolidation Act 2005", "pps\\S*"),
    _of("cz-sk-rodne-cislo", r"\d{6}/\d{4}", _rodne_cislo, "Zákon 133/2000 Sb."),
    _of("ro-cnp", r"[1-8]\d{12}", _cnp, "Legea 105/1996"),
    _of("bg-egn", r"\d{10}", _egn, "Naredba RD-02-20-9, 2012", "egn", "егн"),
    _of("hr-oib", r"\d{11}", mod_11_10, "Zakon o OIB, NN 60/08", "oib"),
    _of("ee-lt-isikukood", r"[1-6]\d{10}", _isikukood, "EVS 585:2007", "isikukood", "asmens kodas", "personal code"),
)  # fmt: skip
