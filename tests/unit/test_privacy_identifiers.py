"""Every pattern for numbers finds a number as its issuer documents it, and none whose check digit is wrong."""

from __future__ import annotations

import pytest

from signoff.governance.privacy import Detector
from signoff.governance.privacy.detector import RULES

NUMBERS = {
    "card": "4111 1111 1111 1111",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "uk-nino": "AB 12 34 56 C",
    "uk-nhs": "943 476 5919",
    "de-steuer-id": "86 095 742 719",
    "fr-nir": "2 55 08 14 168 025 38",
    "es-dni-nie": "X1234567L",
    "it-codice-fiscale": "RSSMRA85T10A562S",
    "nl-bsn": "111222333",
    "be-rijksregister": "85.07.30-033.28",
    "pl-pesel": "44051401359",
    "se-personnummer": "811228-9874",
    "fi-hetu": "131052-308T",
    "no-fodselsnummer": "151086 95088",
    "dk-cpr": "211062-5629",
    "pt-nif": "501 964 843",
    "ch-ahv": "756.9217.0769.85",
    "at-svnr": "1237 010180",
    "ie-pps": "6433435F",
    "cz-sk-rodne-cislo": "710319/2745",
    "ro-cnp": "1630615123457",
    "bg-egn": "7523169263",
    "hr-oib": "33392005961",
    "ee-lt-isikukood": "36805280109",
    "us-ssn": "536-90-4399",
    "us-ssn-bare": "536904399",
    "us-itin": "912-90-3456",
    "us-routing": "111000025",
    "br-cpf": "390.533.447-05",
    "in-aadhaar": "2341 2341 2346",
    "in-pan": "ACUPA7085R",
    "au-tfn": "123 456 782",
    "au-medicare": "2123 45670 1",
    "ca-sin": "123-456-782",
    "ca-sin-bare": "123456782",
    "za-id": "7503305044089",
    "kr-rrn": "971013-1019907",
    "cn-ric": "360426199101010071",
    "sg-nric": "S1234567D",
    "th-id": "1-2345-45678-78-1",
    "tr-tckn": "17291716060",
    "mx-curp": "BOXW310820HNERXN09",
    "cl-rut": "12.531.909-2",
    "ar-cuit": "20-05536168-2",
    "bitcoin": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "ethereum": "0x52908400098527886E0F7030069857D2E4169EE7",
    "ipv4": "192.0.2.17",
    "ipv6": "2001:db8::8a2e:370:7334",
    "email": "zoë.o'neil+tag@mail.example",
    "url": "https://example.com/a?b=c",
}  # fmt: skip
CONTEXT = {
    "uk-nhs": "NHS", "de-steuer-id": "Steuer-ID", "nl-bsn": "BSN", "dk-cpr": "CPR", "pt-nif": "NIF", "at-svnr": "SVNR",
    "ie-pps": "PPS", "bg-egn": "EGN", "hr-oib": "OIB", "ee-lt-isikukood": "isikukood", "us-ssn-bare": "SSN",
    "us-routing": "routing", "au-tfn": "TFN",
    "au-medicare": "Medicare", "ca-sin-bare": "SIN", "tr-tckn": "TCKN",
}  # fmt: skip
UNCHECKED = {
    "in-pan", "mx-curp", "kr-rrn", "dk-cpr", "us-ssn", "us-ssn-bare", "us-itin", "bitcoin", "ethereum", "ipv4", "ipv6",
    "email", "url", "uk-nino",
}  # fmt: skip
PEM = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"
RULE = {rule.name: rule for rule in RULES}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_found_whole(name: str):
    text = f"On file ({CONTEXT.get(name, 'number')}: {NUMBERS[name]}), as agreed."
    found = [text[item.start : item.end] for item in RULE[name].find(text)]
    assert found == [NUMBERS[name]]
    everything = Detector().find(text, {RULE[name].kind}, names=False)
    assert [text[item.start : item.end] for item in everything] == [NUMBERS[name]]


@pytest.mark.parametrize("name", sorted(NUMBERS.keys() - UNCHECKED))
def test_most_changes_of_one_digit_are_noticed(name: str):
    number = NUMBERS[name]
    places = [place for place, sign in enumerate(number) if sign.isdigit()]
    changed = [
        number[:place] + digit + number[place + 1 :]
        for place in places
        for digit in "0123456789"
        if digit != number[place]
    ]
    missed = [text for text in changed if RULE[name].find(f"{CONTEXT.get(name, 'number')}: {text}")]
    # Sums modulo ten or eleven cannot notice every change that also changes what a digit weighs.
    assert len(missed) <= len(changed) * 0.2, missed


@pytest.mark.parametrize("name", CONTEXT)
def test_a_weak_format_needs_its_word(name: str):
    assert RULE[name].find(f"Order {NUMBERS[name]} was sent.") == []


def test_twelve_countries_and_more_have_checked_patterns():
    countries = {name.split("-")[0] for name in NUMBERS.keys() - UNCHECKED if "-" in name}
    assert len(countries) >= 24


@pytest.mark.parametrize(
    "text",
    [
        "Order 10023 of 2024-01-05 came to 1,234.56 EUR, invoice INV-2024-0017, 3 x 250 g.",
        "Tracking 1234 5678 9012 3456 is late.",  # sixteen digits, no Luhn
        "Cancel purchase 113542617735902 and order 00123842, or call me about invoice 77310042.",
        "Ratio 0.123456789 at 10:30:15, version 10.2.3, section 4.1.2.3.4",
        "2001-2010 had 1000000000 requests",
    ],
)
def test_what_only_looks_like_data_stays(text: str):
    kinds = {"CREDIT_CARD", "IBAN_CODE", "NATIONAL_ID", "US_SSN", "PHONE_NUMBER", "IP_ADDRESS", "SECRET"}
    assert Detector().find(text, kinds, names=False) == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("key sk-proj-" + "a1B2" * 8, "sk-proj-" + "a1B2" * 8),
        ("AKIA" + "ABCDEFGH23456777", "AKIA" + "ABCDEFGH23456777"),
        ("ghp_" + "a" * 36, "ghp_" + "a" * 36),
        ("Authorization: Bearer abc.def-123456", "abc.def-123456"),
        ("postgres://app:s3cretpw@db/x", "s3cretpw"),
        ("Password: hunter2x", "hunter2x"),
        (PEM, PEM),
        ("so_" + "0" * 16 + "_" + "a" * 64, "so_" + "0" * 16 + "_" + "a" * 64),
    ],
)  # fmt: skip
def test_credentials_are_found(text: str, secret: str):
    assert [text[item.start : item.end] for item in Detector().find(text, {"SECRET"}, names=False)] == [secret]
