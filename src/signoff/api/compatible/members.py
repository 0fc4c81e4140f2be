"""Reads members of vendors' requests. What is wrong, unknown or not supported is told by its place, never passed over.

It is made by hand, because the framework's models take milliseconds on long conversations, and tell of mistakes in
their own form rather than in the vendors'.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, cast

import orjson

from signoff.core.errors import InvalidError, did_you_mean
from signoff.core.json_texts import deeper_than
from signoff.core.values import value

MAX_DEPTH = 128
"""How deep a body may be nested: half of what could be written again for a vendor."""
_LONGEST_SHOWN = 60
MOST_COUNTED = 2**31 - 1
"""The largest number of anything that is counted, such as tokens: sums and prices of such numbers can be kept."""


class RequestError(InvalidError):
    """A vendor's request that cannot be carried out as it stands.

    Attributes:
        param: the member that is wrong, as the vendors write it, such as `messages[0].content`; none for the whole.
        reason: the vendors' code for it.
    """

    status = 400
    code = "vendor-request"
    title = "The request cannot be carried out"

    def __init__(self, detail: str, *, param: str | None = None, reason: str = "invalid_value") -> None:
        super().__init__(detail)
        self.param = param
        self.reason = reason


def wrong(where: str, detail: str, reason: str = "invalid_value") -> RequestError:
    """The refusal of a member."""
    return RequestError(detail, param=where, reason=reason)


def unsupported(where: str, advice: str) -> RequestError:
    """The refusal of a member that the vendor knows and this server does not carry out: `advice` says what to do."""
    return RequestError(f"'{where}' is not supported here. {advice}", param=where, reason="unsupported_parameter")


@value
class Known:
    """The members of one kind of request.

    Attributes:
        taken: what is carried out.
        neutral: values that ask for what happens anyway, by member: they are taken, others of the member refused.
        hints: members that cannot change the answer; they are taken, and named in `signoff-ignored`.
        advice: what to do instead of a member that the vendor knows and that is refused.
        droppable: of those that are refused, what an answer can do without: a caller may have it left out instead.
    """

    taken: frozenset[str]
    neutral: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])
    hints: frozenset[str] = frozenset()
    advice: Mapping[str, str] = field(default_factory=dict[str, str])
    droppable: frozenset[str] = frozenset()

    @property
    def members(self) -> frozenset[str]:
        """All that is known, whatever becomes of it."""
        return self.taken | self.neutral.keys() | self.hints | self.advice.keys()


def screened(body: Mapping[str, Any], known: Known, where: str = "", *, drops: bool = False) -> list[str]:
    """The members of an object that are taken without effect: its hints, and where `drops` what can be done without.

    Raises:
        RequestError: it has a member that is unknown, or asks for what is not supported.
    """
    rest = body.keys() - known.taken
    if not rest:
        return []
    ignored: list[str] = []
    for name in sorted(rest):
        place = f"{where}.{name}" if where else name
        value = body[name]
        if value is None or (name in known.neutral and _neutral(value, known.neutral[name])):
            continue
        if name in known.hints or (drops and name in known.droppable):
            ignored.append(place)
        elif name in known.neutral or name in known.advice:
            raise unsupported(place, known.advice.get(name) or f"Leave it out, or give {_shown(known.neutral[name])}.")
        else:
            near = did_you_mean(name, sorted(known.taken | known.hints | known.neutral.keys())) or "Leave it out."
            raise wrong(place, f"There is no member '{place[:_LONGEST_SHOWN]}'. {near}", "unknown_parameter")
    return ignored


def _neutral(value: Any, among: Sequence[Any]) -> bool:
    # True is 1 to Python, and is no number here.
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in among)


def _shown(values: Sequence[Any]) -> str:
    return " or ".join(orjson.dumps(value).decode() for value in values)


def read_body(data: bytes) -> dict[str, Any]:
    """The request's object.

    Raises:
        RequestError: it is no JSON object.
    """
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"The body is not valid JSON (RFC 8259): {error}.", reason="invalid_json") from None
    if not isinstance(value, dict):
        raise RequestError("The body has to be a JSON object.", reason="invalid_json")
    # What has fewer brackets is no deeper: counting them is cheap, and few bodies have so many.
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and deeper_than(value, MAX_DEPTH):
        raise RequestError(f"The body is nested deeper than {MAX_DEPTH} levels.", reason="invalid_json")
    return cast("dict[str, Any]", value)


def an_object(value: Any, where: str) -> dict[str, Any]:
    """An object.

    Raises:
        RequestError: it is none.
    """
    if not isinstance(value, dict):
        raise wrong(where, f"'{where}' has to be an object, not {_kind(value)}.", "invalid_type")
    return cast("dict[str, Any]", value)


def an_array(value: Any, where: str, most: int) -> list[Any]:
    """An array.

    Raises:
        RequestError: it is none, or has more than `most` items.
    """
    if not isinstance(value, list):
        raise wrong(where, f"'{where}' has to be an array, not {_kind(value)}.", "invalid_type")
    found = cast("list[Any]", value)
    if len(found) > most:
        raise wrong(
            where, f"'{where}' has {len(found)} items; this server takes at most {most}.", "array_above_max_length"
        )
    return found


def a_string(value: Any, where: str) -> str:
    """A string.

    Raises:
        RequestError: it is none.
    """
    if not isinstance(value, str):
        if value is None:
            raise wrong(where, f"'{where}' is missing.", "missing_required_parameter")
        raise wrong(where, f"'{where}' has to be a string, not {_kind(value)}.", "invalid_type")
    return value


def a_flag(value: Any, where: str) -> bool:
    """True or false; false for none.

    Raises:
        RequestError: it is neither.
    """
    if value is None:
        return False
    if not isinstance(value, bool):
        raise wrong(where, f"'{where}' has to be true or false, not {_kind(value)}.", "invalid_type")
    return value


def a_number(value: Any, where: str, low: float, high: float) -> float | None:
    """A number, or none.

    Raises:
        RequestError: it is none, or out of its bounds.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(where, f"'{where}' has to be a number, not {_kind(value)}.", "invalid_type")
    if not low <= value <= high:
        raise wrong(where, f"'{where}' has to be from {low:g} to {high:g}.")
    return value


def a_count(value: Any, where: str) -> int | None:
    """A positive whole number, or none.

    Raises:
        RequestError: it is none, or is above `MOST_COUNTED`.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(where, f"'{where}' has to be a whole number, not {_kind(value)}.", "invalid_type")
    if value < 1:
        raise wrong(where, f"'{where}' has to be at least 1.", "integer_below_min_value")
    if value > MOST_COUNTED:
        raise wrong(where, f"'{where}' has to be at most {MOST_COUNTED}.", "integer_above_max_value")
    return value


def texts(value: Any, where: str, most: int) -> tuple[str, ...]:
    """A string, or some of them; none for none.

    Raises:
        RequestError: it is neither.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    return tuple(a_string(item, f"{where}[{index}]") for index, item in enumerate(an_array(value, where, most)))


def data_url(url: str, where: str) -> tuple[str, bytes]:
    """The media type and the bytes of a `data:` URL (RFC 2397) in base64.

    Raises:
        RequestError: it is none.
    """
    head, comma, data = url.removeprefix("data:").partition(",")
    media_type, *options = head.split(";")
    if not url.startswith("data:") or not comma or "base64" not in options or "/" not in media_type:
        raise wrong(where, f"'{where}' has to be a URL of the form 'data:image/png;base64,…'.")
    return media_type, from_base64(data, where)


def from_base64(data: str, where: str) -> bytes:
    """The bytes that a base64 text is of.

    Raises:
        RequestError: it is no base64.
    """
    try:
        return b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise wrong(where, f"'{where}' is not valid base64.") from None


def _kind(value: Any) -> str:
    kinds = {"NoneType": "null", "bool": "a boolean", "int": "a number", "float": "a number", "str": "a string"}
    return kinds.get(type(value).__name__, "an array" if isinstance(value, list) else "an object")
