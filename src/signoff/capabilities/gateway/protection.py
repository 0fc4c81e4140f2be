"""What obligations do to a call: personal data blocked, taken out, or replaced by tokens, anew for each model."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import field, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from signoff.capabilities.gateway.model import ModelTask, ObligationLike
from signoff.capabilities.gateway.models_store import ModelStore
from signoff.catalog.prompts import Example, PromptMessage
from signoff.core.errors import SignoffError
from signoff.core.identities import OncePerObject
from signoff.core.values import value
from signoff.governance.privacy import NAME_KINDS, Detector, Finding, Tokens, kinds_in, kinds_of, mapped, redacted
from signoff.governance.privacy.redaction import TOKEN, Find
from signoff.governance.privacy.spans import Spans

CARRIED_OUT = frozenset(
    {
        "block",
        "contain",
        "filter",
        "mark",
        "max_tokens",
        "redact",
        "reveal",
        "stop",
        "tokenise",
        "tools",
        "vault",
    }
)
"""The obligations that the gateway carries out."""
VAULT = "vault"
"""Replaced by tokens that the run's vault keeps; they stay in the answer."""
OF_PERSONAL_DATA = frozenset({"block", "redact", "tokenise", "vault"})
"""Those that are about personal data."""
UNREADABLE = frozenset({"ocr", "transcribe"})
"""Tasks whose input is a picture or a recording, in which nothing can be found, and so nothing blocked or taken out."""
MAX_REMEMBERED = 1_024
"""Texts whose findings are kept in memory: prompts repeat their system message and examples with every call."""
MAX_REMEMBERED_CHARACTERS = 20_000
"""Longer texts are not kept."""


class NotProtectedError(Exception):
    """What policy demands of a call was not done, so the call is not made. Never has the data in it."""


_Result = TypeVar("_Result")


class TokenVault(Protocol):
    """Where the tokens of a run are kept (`signoff.governance.privacy.vault.Vault`)."""

    async def sealing(self, work: Callable[[Tokens], Awaitable[_Result]], /) -> _Result:
        """What `work` gives; its tokens are on the disk before this returns. It may be called again."""
        ...


@value
class Protected:
    """A task as a model may see it, and the way back.

    Attributes:
        task: with nothing in it that had to go.
        restore: puts data back into an answer; the answer as it is where nothing was tokenised.
        conceal: puts tokens back into words about a restored answer.
        lasting: whether the answer has tokens of the run's vault in it.
    """

    task: ModelTask
    restore: Callable[[Any], Any] = field(default=lambda value: value)
    conceal: Callable[[str], str] = field(default=lambda text: text)
    lasting: bool = False


@value
class Changing:
    """What is to be done with the texts of one call.

    Attributes:
        find: finds personal data.
        blocked, removed, tokenised, vaulted: the kinds that each duty is about.
        tokens: what stands for the values of the call.
        sealed: what stands for those that stay hidden from the answer's reader, too.
    """

    find: Find
    blocked: frozenset[str]
    removed: frozenset[str]
    tokenised: frozenset[str]
    vaulted: frozenset[str] = frozenset()
    tokens: Tokens = field(default_factory=Tokens)
    sealed: Tokens = field(default_factory=Tokens)

    @property
    def by_patterns_alone(self) -> bool:
        """Whether nothing that a model has to find is looked for: patterns take microseconds."""
        return not (self.blocked | self.removed | self.tokenised | self.vaulted) & NAME_KINDS

    def block(self, value: Any) -> None:
        """Return only where a JSON value has nothing that is blocked.

        Raises:
            NotProtectedError: it has; the error names the kinds.
        """
        there = kinds_in(value, self.find, self.blocked) if self.blocked else ()
        if there:
            raise NotProtectedError(f"Policy blocks data of these kinds, which it has: {', '.join(sorted(there))}.")

    def change(self, text: str) -> str:
        """The text as the model may see it: redacted first, as what two permits demand is done the stricter way."""
        text = redacted(text, self.find, self.removed) if self.removed else text
        text = self.sealed.tokenised(text, self.find, self.vaulted) if self.vaulted else text
        return self.tokens.tokenised(text, self.find, self.tokenised) if self.tokenised else text


def of_personal_data(obligations: Sequence[ObligationLike]) -> bool:
    """Whether any of them is about personal data."""
    return any(duty.kind in OF_PERSONAL_DATA for duty in obligations)


NO_VAULT = "@vault is for steps of runs: nothing else has a vault that keeps tokens."


async def sealed_by(vault: TokenVault, work: Callable[[Tokens], Awaitable[_Result]]) -> _Result:
    """What `work` gives, its tokens kept.

    Raises:
        NotProtectedError: there are too many values, or the vault cannot be had now.
    """
    try:
        return await vault.sealing(work)
    except SignoffError as error:
        raise NotProtectedError(str(error)) from None


class Protector:
    """Carries out obligations. One serves all calls of a process; what it remembers is in memory only.

    Args:
        detector: finds personal data; the local model's, loaded when first needed, where not given.
    """

    def __init__(self, detector: Detector | None = None) -> None:
        self._detector = detector
        self._loading = threading.Lock()
        self._found: OrderedDict[tuple[str, frozenset[str]], list[Finding]] = OrderedDict()
        self._remembering = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether what finds is loaded, which takes seconds the first time."""
        return self._detector is not None

    async def protect(
        self, task: ModelTask, obligations: Sequence[ObligationLike], vault: TokenVault | None = None
    ) -> Protected:
        """The task with all of them carried out: messages, variables, examples' inputs and outputs.

        Args:
            task: what a model is to do.
            obligations: of the model's permit.
            vault: the run's; none where there is no run.

        Raises:
            NotProtectedError: it has data that is blocked, or what is demanded cannot be done here.
        """
        if not of_personal_data(obligations):
            return Protected(task)
        if task.task in UNREADABLE:
            raise NotProtectedError(f"What personal data a file has is not known before '{task.task}' has read it.")
        if not any(duty.kind == VAULT for duty in obligations):
            return await asyncio.to_thread(self._refusing, self._protect_task, task, obligations)
        if vault is None:
            raise NotProtectedError(NO_VAULT)

        async def work(sealed: Tokens) -> Protected:
            protecting = partial(self._protect_task, sealed=sealed)
            return await asyncio.to_thread(self._refusing, protecting, task, obligations)

        return await sealed_by(vault, work)

    async def protect_texts(self, texts: Sequence[str], obligations: Sequence[ObligationLike]) -> Sequence[str]:
        """Texts to make vectors of. Tokens would make each vector another, so what is to be tokenised is taken out.

        Raises:
            NotProtectedError: as `protect`.
        """
        if not of_personal_data(obligations):
            return texts
        return await asyncio.to_thread(self._refusing, self._protect_texts, texts, obligations)

    def _refusing(self, work: Callable[[Any, Sequence[ObligationLike]], Any], what: Any, duties: Any) -> Any:
        try:
            return work(what, duties)
        except SignoffError as error:
            raise NotProtectedError(str(error)) from None

    def changing(self, obligations: Sequence[ObligationLike], sealed: Tokens | None = None) -> Changing:
        """How the texts of one call are to be changed: for calls that are no tasks. Its functions belong into a thread.

        Args:
            obligations: of the model's permit.
            sealed: what the run's vault keeps.

        Raises:
            NotProtectedError: what is demanded is not known.
        """
        return self._refusing(lambda _, duties: self._changing(duties, sealed), None, obligations)

    def _changing(self, obligations: Sequence[ObligationLike], sealed: Tokens | None = None) -> Changing:
        # Decisions are remembered, and their obligations with them: the same tuple comes with each call.
        read = _duties if isinstance(obligations, tuple) else _read_duties
        blocked, removed, vaulted, tokenised = read(obligations)
        changing = Changing(self._find, blocked, removed, tokenised - removed - vaulted, vaulted - removed)
        return changing if sealed is None else replace(changing, sealed=sealed)

    def _protect_task(
        self, task: ModelTask, obligations: Sequence[ObligationLike], sealed: Tokens | None = None
    ) -> Protected:
        changing = self._changing(obligations, sealed)
        changing.block([message.content for message in task.messages])
        changing.block(task.variables)
        changing.block([[example.input, example.output] for example in task.examples])
        change = changing.change
        changed = replace(
            task,
            messages=tuple(PromptMessage(message.role, change(message.content)) for message in task.messages),
            variables=mapped(task.variables, change),
            examples=tuple(
                Example(mapped(example.input, change), mapped(example.output, change)) for example in task.examples
            ),
        )
        tokens, hidden = changing.tokens, changing.sealed
        # What the vault has stays hidden: whoever reads the answer sees its token.
        return Protected(
            changed,
            lambda value: mapped(value, tokens.restored),
            lambda text: tokens.concealed(hidden.concealed(text)),
            lasting=bool(changing.vaulted),
        )

    def _protect_texts(self, texts: Sequence[str], obligations: Sequence[ObligationLike]) -> Sequence[str]:
        changing = self._changing(obligations)
        changing.block(list(texts))
        removed = changing.removed | changing.tokenised | changing.vaulted
        return [redacted(text, self._find, removed) for text in texts] if removed else texts

    def _find(self, text: str, kinds: Collection[str], /) -> list[Finding]:
        detector, key = self._loaded(), (text, frozenset(kinds))
        with self._remembering:
            known = self._found.get(key)
        if known is None:
            known = _outside_tokens(text, detector.find(text, kinds))
            if len(text) <= MAX_REMEMBERED_CHARACTERS:
                with self._remembering:
                    self._found[key] = known
                    while len(self._found) > MAX_REMEMBERED:
                        self._found.popitem(last=False)
        return known

    def _loaded(self) -> Detector:
        with self._loading:
            if self._detector is None:
                self._detector = _local_detector()
            return self._detector


def _read_duties(obligations: Sequence[ObligationLike]) -> tuple[frozenset[str], ...]:
    """The kinds that are blocked, taken out, kept in a vault, and replaced by tokens."""
    return tuple(
        frozenset[str]().union(*(kinds_of(duty.value) for duty in obligations if duty.kind == kind))
        for kind in ("block", "redact", VAULT, "tokenise")
    )


_duties = OncePerObject(_read_duties)


def _outside_tokens(text: str, found: list[Finding]) -> list[Finding]:
    """Without what was found in tokens, which stand for data and have none."""
    if not found or "[" not in text:
        return found
    tokens = Spans(Finding(*match.span(), "", "") for match in TOKEN.finditer(text))
    return [one for one in found if not tokens.touching(one.start, one.end)]


def _local_detector() -> Detector:
    """With the local model where it is on this machine; else by patterns alone, which refuses to look for names."""
    from signoff.capabilities.gateway.providers.rampart import (  # noqa: PLC0415  (of those who redact only)
        MODEL,
        shared_rampart,
    )

    state = ModelStore().state(MODEL)
    return Detector(shared_rampart(state.directory) if state.installed else None)
