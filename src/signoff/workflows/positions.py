"""Where each character of a YAML text stands in its file, however the text is quoted, folded or indented."""

from __future__ import annotations

_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}


def raw_offsets(raw: str, value: str) -> list[int] | None:
    """For each character of a scalar's value, and its end, the index into how it is written; none where unsure.

    Args:
        raw: the scalar as written, from its first quote, block sign or character.
        value: what it means.
    """
    if raw[:1] == "|":
        return _literal(raw, value)
    if raw[:1] == ">":
        return _aligned(raw, value, _skip_blank(raw, raw.find("\n") + 1), "")
    quote = raw[:1] if raw[:1] in ("'", '"') else ""
    return _aligned(raw, value, len(quote), quote)


def _literal(raw: str, value: str) -> list[int] | None:
    """A literal block keeps its lines; only the indentation of its first line with text is taken off each."""
    header, *lines = raw.split("\n")
    first = next((line for line in lines if line.strip()), "")
    indent = len(first) - len(first.lstrip(" "))
    start = len(header) + 1
    offsets: list[int] = []
    for number, text in enumerate(value.split("\n")):
        if number >= len(lines):
            return [*offsets, len(raw)] if not text else None
        inner = min(indent, len(lines[number]))
        offsets += [min(start + inner + at, len(raw)) for at in range(len(text) + 1)]
        start += len(lines[number]) + 1
    return offsets


def _aligned(raw: str, value: str, start: int, quote: str) -> list[int] | None:
    at = start
    offsets: list[int] = []
    for character in value:
        if at >= len(raw):
            if character != "\n":
                return None
            offsets.append(len(raw))
            continue
        offsets.append(at)
        if quote == '"' and raw[at] == "\\":
            at += _ESCAPE_LENGTHS.get(raw[at + 1 : at + 2], 2)
        elif quote == "'" and raw[at : at + 2] == "''":
            at += 2
        elif raw[at] == character and character != "\n":
            at += 1
        elif character in " \n":
            newline = raw.find("\n", at)
            if newline < 0 or raw[at:newline].strip():
                return None
            # A folded line end is one space or, after blank lines, so many newlines.
            at = _skip_blank(raw, newline + 1) if character == " " else _skip_indent(raw, newline + 1)
        else:
            return None
        if raw[at : at + 1] == "\n" and value[len(offsets) : len(offsets) + 1] not in ("\n", " ", ""):
            at = _skip_blank(raw, at)
    return [*offsets, min(at, len(raw))]


def _skip_blank(raw: str, at: int) -> int:
    while at < len(raw) and raw[at] in " \t\n\r":
        at += 1
    return at


def _skip_indent(raw: str, at: int) -> int:
    while at < len(raw) and raw[at] in " \t":
        at += 1
    return at
