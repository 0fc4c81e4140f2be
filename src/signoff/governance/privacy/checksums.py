"""Check digits, as the standards define them. Every function takes characters that are already without separators."""

from __future__ import annotations

from collections.abc import Sequence

_VERHOEFF_PRODUCT = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
_VERHOEFF_PERMUTATION = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7), (9, 4, 5, 3, 1, 2, 6, 8, 7, 0), (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5), (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)  # fmt: skip


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: every second digit from the right doubled, the sum a multiple of ten."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value  # noqa: PLR2004  (the digits of a two-digit product)
    return total % 10 == 0


def verhoeff(digits: str) -> bool:
    """Verhoeff, Error Detecting Decimal Codes, 1969: the dihedral group of order ten."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _VERHOEFF_PRODUCT[check][_VERHOEFF_PERMUTATION[place % 8][int(digit)]]
    return check == 0


def mod_11_10(digits: str) -> bool:
    """ISO/IEC 7064, hybrid system MOD 11,10."""
    product = 10
    for digit in digits[:-1]:
        total = (product + int(digit)) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[-1])


def mod_97(text: str) -> bool:
    """ISO/IEC 7064 MOD 97-10 as ISO 13616 uses it: letters as 10 to 35, the first four characters at the end."""
    rearranged = text[4:] + text[:4]
    return int("".join(str(int(character, 36)) for character in rearranged)) % 97 == 1


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The sum of digits times weights, of as many as there are weights."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def ean13(digits: str) -> bool:
    """GS1 General Specifications, section 7.9: weights 1 and 3 by turns."""
    return weighted(digits, (1, 3) * 6 + (1,)) % 10 == 0
