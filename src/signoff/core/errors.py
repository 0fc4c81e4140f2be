"""The error tree and its wire form, problem details (RFC 9457).

    SignoffError
    ├── InvalidError        400/422  what was given breaks its schema, grammar or type
    │   └── DefinitionError 422      a project's own files are wrong; carries every problem found
    ├── UnauthenticatedError 401     nobody, or nobody we know
    ├── ForbiddenError      403      policy says no
    ├── NotFoundError       404
    ├── ConflictError       409      right request, wrong state
    │   └── NonDeterminismError      a replay that disagrees with its journal
    ├── LimitError          413/429  a named limit was reached
    ├── UnavailableError    503      try again; nothing was lost
    └── StepError           —        a step failed; knows if a retry may help and if the effect may have happened

Each package may derive its own from these; a user never sees another kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where it is, and what to do.

    Attributes:
        detail: what is wrong, as a sentence for a person.
        file: the file, relative to the project, where the problem is in one.
        line: its line, from 1.
        column: its column, from 1.
        pointer: a JSON Pointer (RFC 6901) into the document or the request body.
        suggestion: what to do or write instead.
        code: a stable name for machines, in kebab case.
    """

    detail: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    pointer: str | None = None
    suggestion: str | None = None
    code: str = "invalid"

    def as_dict(self) -> dict[str, Any]:
        """The members that are set, for JSON."""
        names = ("code", "detail", "file", "line", "column", "pointer", "suggestion")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = f"{place}: {self.detail}" if place else self.detail
        if self.pointer and not self.line:
            text = f"{text} (at {self.pointer or '/'})"
        return f"{text} {self.suggestion}" if self.suggestion else text


class SignoffError(Exception):
    """The root of every error that Signoff raises on purpose."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, problems: Sequence[Problem] = (), **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems = tuple(problems)
        self.members: Mapping[str, Any] = members

    def as_problem_details(self) -> dict[str, Any]:
        """The error as an `application/problem+json` object (RFC 9457)."""
        body: dict[str, Any] = {
            "type": f"https://signoff.invalid/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        if self.problems:
            body["errors"] = [problem.as_dict() for problem in self.problems]
        return body


class InvalidError(SignoffError):
    """What was given breaks its schema, grammar or type."""

    status = 422
    code = "invalid"
    title = "Invalid input"


class DefinitionError(InvalidError):
    """A project's own files are wrong. `problems` holds every problem found, not only the first."""

    code = "definition"
    title = "Invalid definition"

    def __str__(self) -> str:
        return "\n".join([self.detail, *(f"  {problem}" for problem in self.problems)])


class UnauthenticatedError(SignoffError):
    """No credential, or one that is unknown, revoked or expired."""

    status = 401
    code = "unauthenticated"
    title = "Not signed in"


class ForbiddenError(SignoffError):
    """Policy forbids it, or permits nothing of the kind (default deny)."""

    status = 403
    code = "forbidden"
    title = "Forbidden by policy"


class NotFoundError(SignoffError):
    """There is no such thing, or none that the asker may see."""

    status = 404
    code = "not-found"
    title = "Not found"


class ConflictError(SignoffError):
    """The request is well formed but the thing's state rules it out."""

    status = 409
    code = "conflict"
    title = "Conflict"


class NonDeterminismError(ConflictError):
    """A replay that disagrees with its journal. The run is parked for a person, never corrupted."""

    code = "non-determinism"
    title = "The definition does not match the journal"


class LimitError(SignoffError):
    """A named limit was reached."""

    status = 429
    code = "limit"
    title = "Limit reached"


class UnavailableError(SignoffError):
    """A part that is needed does not answer now. Trying again is right; nothing was lost."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"


class StepError(SignoffError):
    """A step failed.

    Attributes:
        kind: a stable name of the reason, in snake case (`timeout`, `contract`, `forbidden`, `assertion`, …).
        retryable: whether the same call may succeed later.
        outcome_unknown: whether the effect may have happened although no answer came.
        retry_after_s: how long the other side asked us to wait, in seconds.
        declared: whether a contract declares this refusal, so that it speaks for every call with the same key. Only
            such a failure settles what became of an earlier try.
    """

    status = 500
    code = "step"
    title = "Step failed"

    def __init__(
        self,
        detail: str,
        *,
        kind: str = "error",
        retryable: bool = False,
        outcome_unknown: bool = False,
        retry_after_s: float | None = None,
        declared: bool = False,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(detail, problems=problems)
        self.kind = kind
        self.retryable = retryable
        self.outcome_unknown = outcome_unknown
        self.retry_after_s = retry_after_s
        self.declared = declared


def closest(word: str, known: Sequence[str]) -> str | None:
    """The known word that a misspelt one most likely meant, or none that is near."""
    import difflib  # noqa: PLC0415  (only needed when something is wrong)

    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Sequence[str]) -> str | None:
    """A suggestion sentence for a misspelt word, or none."""
    near = closest(word, known)
    return f"Did you mean '{near}'?" if near else None
