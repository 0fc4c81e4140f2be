"""What a project is once it has been read, and a release once it is pinned. Frozen: shared by all runs of a release."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from signoff.catalog.decisions import DecisionTable
from signoff.catalog.models import ModelsConfig
from signoff.catalog.outgoing import OutgoingFilters
from signoff.catalog.prompts import Prompt
from signoff.catalog.rules import Rule
from signoff.catalog.tools import ToolContract
from signoff.catalog.versions import parse_constraint, parse_version, split_reference
from signoff.core.errors import NotFoundError, did_you_mean
from signoff.core.ids import digest as sha256
from signoff.core.values import value
from signoff.runtime.queues import Queue
from signoff.runtime.retention import KEEP_FOREVER, RetentionPolicy
from signoff.runtime.starting import Schedule
from signoff.workflows.model import Contract, Workflow

DEFAULT_CHUNK_SIZE = 800
"""How long a piece of knowledge may be that is retrieved as one, in characters; MiniLM reads at most about 1,000."""

RETRIEVAL_CONTRACT = Contract(
    input_schema={
        "type": "object",
        "properties": {"query": {"type": "string"}, "top": {"type": "integer", "minimum": 1}},
        "required": ["query"],
    },
    output_schema={
        "type": "object",
        "properties": {
            "hits": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "chunk_id": {"type": "string"},
                        "path": {"type": "string"},
                        "heading": {"type": "array", "items": {"type": "string"}},
                        "text": {"type": "string"},
                        "start": {"type": "integer"},
                        "end": {"type": "integer"},
                        "score": {"type": "number"},
                    },
                    "required": ["chunk_id", "path", "heading", "text", "start", "end", "score"],
                },
            }
        },
        "required": ["hits"],
    },
)
"""What every index takes and gives, as far as the language must know: hits, best first."""


class PromptRegistry:
    """The prompts of a project by name and version."""

    def __init__(self, prompts: Iterable[Prompt] = ()) -> None:
        self._by_name: dict[str, list[Prompt]] = {}
        for prompt in prompts:
            self._by_name.setdefault(prompt.name, []).append(prompt)
        for versions in self._by_name.values():
            versions.sort(key=lambda prompt: parse_version(prompt.version), reverse=True)

    def __iter__(self) -> Iterator[Prompt]:
        for versions in self._by_name.values():
            yield from versions

    @property
    def names(self) -> tuple[str, ...]:
        """Every prompt's name, once."""
        return tuple(self._by_name)

    def find(self, reference: str) -> Prompt:
        """The latest prompt that a reference such as `classify@^3` allows.

        Raises:
            NotFoundError: no such prompt, or none of a version that is allowed; says which there are.
        """
        name, constraint = split_reference(reference)
        versions = self._by_name.get(name)
        if versions is None:
            raise NotFoundError(f"There is no prompt '{name}'. {did_you_mean(name, self.names) or ''}".rstrip())
        try:
            allowed = parse_constraint(constraint)
        except ValueError as error:
            raise NotFoundError(str(error)) from error
        for prompt in versions:
            if allowed.allows(parse_version(prompt.version)):
                return prompt
        there = ", ".join(prompt.version for prompt in versions)
        raise NotFoundError(f"Prompt '{name}' has no version that '{constraint}' allows. There is: {there}.")


@value
class IndexSettings:
    """How an index cuts its sources: `knowledge/<index>.yaml`.

    Attributes:
        about: one sentence for people.
        chunk_size: longest piece that is retrieved as one, in characters.
        trusted: whether its texts are the organisation's own; others are untrusted like any input.
    """

    about: str = ""
    chunk_size: int = DEFAULT_CHUNK_SIZE
    trusted: bool = False


@value
class EnvironmentSpec:
    """An environment that a project declares: where its releases can be deployed to.

    Attributes:
        name: e.g. `prod`.
        about: one sentence for people.
    """

    name: str
    about: str = ""


DEFAULT_ENVIRONMENTS: Mapping[str, EnvironmentSpec] = {
    name: EnvironmentSpec(name, about)
    for name, about in (
        ("dev", "Where the project is written."),
        ("staging", "Where a release is tried."),
        ("prod", "Where it works."),
    )
}
"""What a project has that declares none."""


@value
class Project:
    """A project directory, read, checked and compiled.

    Attributes:
        name: as `signoff.yaml` says.
        settings: the project's settings as text; a deployment overrides one with `SIGNOFF_SETTING_<NAME>`.
        roles: the roles that documents may name, with a description of each.
        workflows: compiled, by name.
        prompts: by name and version constraint.
        tools: contracts by name.
        models: models and routes.
        policies: Cedar text by file.
        schemas: JSON Schemas by file.
        knowledge: path and text of each source, by index.
        index_settings: by index; every index has some.
        rules: by name.
        decisions: by name.
        retention: how long its finished runs are kept.
        queues: by name.
        schedules: by name.
        environments: where its releases can be deployed to, by name.
        outgoing: what is looked for in what its tools and events send.
        files: the bytes of every file, by path within the project with `/`.
    """

    name: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    workflows: Mapping[str, Workflow] = field(default_factory=dict[str, Workflow])
    prompts: PromptRegistry = field(default_factory=PromptRegistry)
    tools: Mapping[str, ToolContract] = field(default_factory=dict[str, ToolContract])
    models: ModelsConfig = field(default_factory=ModelsConfig)
    policies: Mapping[str, str] = field(default_factory=dict[str, str])
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    knowledge: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict[str, tuple[tuple[str, str], ...]])
    index_settings: Mapping[str, IndexSettings] = field(default_factory=dict[str, IndexSettings])
    rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    decisions: Mapping[str, DecisionTable] = field(default_factory=dict[str, DecisionTable])
    retention: RetentionPolicy = KEEP_FOREVER
    queues: Mapping[str, Queue] = field(default_factory=dict[str, Queue])
    schedules: Mapping[str, Schedule] = field(default_factory=dict[str, Schedule])
    environments: Mapping[str, EnvironmentSpec] = field(default_factory=lambda: DEFAULT_ENVIRONMENTS)
    outgoing: OutgoingFilters = field(default_factory=OutgoingFilters)
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])

    @property
    def digest(self) -> str:
        """What names the release of exactly these files."""
        return digest_of({path: sha256(content) for path, content in self.files.items()})

    def resolved_settings(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The settings with a deployment's own values (`SIGNOFF_SETTING_SHOP_URL` for `shop_url`) put over them."""
        if not self.settings:
            return {}
        return {
            name: environment.get(f"SIGNOFF_SETTING_{name.upper()}", value) for name, value in self.settings.items()
        }


@value
class Release:
    """An immutable, content-addressed snapshot of a project. Handlers get it as `call.release`.

    Attributes:
        digest: SHA-256 over the sorted paths and their contents' digests, hexadecimal.
        project: the project as read from exactly those files.
    """

    digest: str
    project: Project


def digest_of(digests: Mapping[str, str]) -> str:
    """The digest of a set of files from each file's own, whatever their order.

    Each line is a digest and a path, as `sha256sum` prints, so that anyone can verify a release without Signoff.
    """
    lines = (f"{digests[path]}  {path}\n" for path in sorted(digests))
    return sha256("".join(lines).encode())
