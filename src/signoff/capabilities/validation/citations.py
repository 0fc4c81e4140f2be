"""Quotes in an answer: enough of them, and each occurs in passages that the run retrieved and gave to the step.

How white space is laid out does not matter, and nothing else is forgiven: a quote that is nearly there is made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from signoff.catalog.answer_contracts import CitationContract
from signoff.core.errors import Problem

MAX_QUOTE_CHARACTERS = 2_000
"""A longer quote is refused: it could hardly come from one passage."""
MIN_QUOTE_CHARACTERS = 8
"""A shorter one is refused: `the` stands in every passage and proves nothing."""
MAX_CITATIONS = 100
"""How many are checked; an answer with more is refused."""

_WORD = re.compile(r"\w+")


def words_of(text: str) -> Iterator[str]:
    """Its words, without regard to case."""
    return (word.casefold() for word in _WORD.findall(text))


def proven(
    contract: CitationContract, variables: Mapping[str, Any], retrieved: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """The variables with those passages alone that the run's own `retrieve` steps gave: what else is there was made up.

    A passage is theirs where its text stands in theirs of the same id, or in any of theirs where it has no id.

    Args:
        contract: says which variable carries the passages.
        variables: what the step was given.
        retrieved: the outputs of the run's `retrieve` steps.
    """
    known = [passage for output in retrieved for passage in _passages(output)]
    by_id: dict[str | None, list[str]] = {}
    for chunk_id, text in known:
        by_id.setdefault(chunk_id, []).append(text)
    texts = [text for _, text in known]
    kept = [
        {"text": text} if chunk_id is None else {"chunk_id": chunk_id, "text": text}
        for chunk_id, text in _passages(variables.get(contract.source))
        if text and any(text in other for other in (texts if chunk_id is None else by_id.get(chunk_id, ())))
    ]
    return {**variables, contract.source: kept}


def check_citations(
    contract: CitationContract, answer: Mapping[str, Any], variables: Mapping[str, Any]
) -> list[Problem]:
    """What is wrong with an answer's citations; nothing where they are enough and real. Never raises."""
    given = answer.get(contract.field)
    quotes = cast("list[Any]", given) if isinstance(given, list) else []
    problems: list[Problem] = []
    if len(quotes) < contract.least or len(quotes) > MAX_CITATIONS:
        bounds = f"at least {contract.least}" if len(quotes) < contract.least else f"at most {MAX_CITATIONS}"
        problems.append(
            Problem(
                f"'{contract.field}' has {len(quotes)} quotes and must have {bounds} of the passages it rests on.",
                pointer=f"/{contract.field}",
                code="citations",
            )
        )
    passages = list(_passages(variables.get(contract.source)))
    for place, quote in enumerate(quotes[:MAX_CITATIONS]):
        why = _unreal(quote, passages)
        if why is not None:
            problems.append(
                Problem(f"The quote {why}.", pointer=f"/{contract.field}/{place}", code="citation-not-found")
            )
    return problems


def _passages(value: Any) -> Iterator[tuple[str | None, str]]:
    """The id and text of each hit: of a list of hits, of `{hits: […]}`, or of plain texts."""
    found: Any = cast("Mapping[str, Any]", value).get("hits") if isinstance(value, Mapping) else value
    for hit in cast("list[Any]", found) if isinstance(found, list) else []:
        if isinstance(hit, str):
            yield None, " ".join(hit.split())
        elif isinstance(hit, Mapping):
            known = cast("Mapping[str, Any]", hit)
            yield known.get("chunk_id"), " ".join(str(known.get("text") or "").split())


def _unreal(quote: Any, passages: list[tuple[str | None, str]]) -> str | None:
    known = cast("Mapping[str, Any]", quote) if isinstance(quote, Mapping) else {"quote": quote}
    text, chunk_id = known.get("quote"), known.get("chunk_id")
    words = " ".join(text.split()) if isinstance(text, str) else ""
    if len(words) < MIN_QUOTE_CHARACTERS:
        return f"is shorter than {MIN_QUOTE_CHARACTERS} characters"
    if len(words) > MAX_QUOTE_CHARACTERS:
        return f"is longer than {MAX_QUOTE_CHARACTERS} characters"
    named = [passage for known_id, passage in passages if chunk_id in (None, known_id)]
    if not named:
        return "names a passage that was not retrieved for this answer in this run"
    return None if any(words in passage for passage in named) else "does not occur in what was retrieved in this run"
