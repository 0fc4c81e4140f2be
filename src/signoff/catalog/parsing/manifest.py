"""`signoff.yaml` (the project's name, settings and roles) and `knowledge/*.yaml` (an index's settings)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from datetime import date

from signoff.catalog.model import DEFAULT_CHUNK_SIZE, DEFAULT_ENVIRONMENTS, EnvironmentSpec, IndexSettings
from signoff.catalog.outgoing import OutgoingFilters
from signoff.catalog.parsing.fields import Fields
from signoff.catalog.parsing.filters import parse_events, parse_outgoing
from signoff.catalog.parsing.queues import parse_calendars, parse_queues
from signoff.catalog.parsing.retention import parse_retention
from signoff.catalog.parsing.screening import parse_screening
from signoff.catalog.references import find_references
from signoff.catalog.screening import UNFILTERED, Screening
from signoff.core.values import value
from signoff.runtime.queues import Queue
from signoff.runtime.retention import KEEP_FOREVER, RetentionPolicy
from signoff.workflows.defaults import Defaults, read_defaults
from signoff.workflows.report import Report

SMALLEST_CHUNK_SIZE = 100
"""Smaller pieces of knowledge hold no thought, in characters."""
LARGEST_CHUNK_SIZE = 8_000
"""Larger ones no longer fit an embedding model or a prompt, in characters."""

_PROJECT = re.compile(r"^[a-z][a-z0-9-]{0,62}\Z")
_SETTING = re.compile(r"^[a-z][a-z0-9_]{0,62}\Z")
_ENVIRONMENT = re.compile(r"^[a-z][a-z0-9-]{0,62}\Z")
_ROLE = re.compile(r"^[a-z][a-z0-9-]{0,62}\Z")


@value
class Manifest:
    """What `signoff.yaml` says."""

    name: str = ""
    settings: dict[str, str] = field(default_factory=dict[str, str])
    roles: dict[str, str] = field(default_factory=dict[str, str])
    requires: tuple[str, ...] = ()
    retention: RetentionPolicy = KEEP_FOREVER
    queues: dict[str, Queue] = field(default_factory=dict[str, Queue])
    calendars: dict[str, frozenset[date]] = field(default_factory=dict[str, frozenset[date]])
    environments: Mapping[str, EnvironmentSpec] = field(default_factory=lambda: DEFAULT_ENVIRONMENTS)
    defaults: Defaults | None = None
    outgoing: OutgoingFilters = field(default_factory=OutgoingFilters)
    screening: Screening = UNFILTERED


def parse_manifest(fields: Fields) -> Manifest:
    """The project's name, settings and roles; what is wrong with them is reported."""
    fields.only(
        "project",
        "about",
        "owner",
        "settings",
        "roles",
        "python",
        "retention",
        "queues",
        "calendars",
        "environments",
        "defaults",
        "filters",
        "events",
        "screening",
    )
    name = fields.text("project")
    if name and not _PROJECT.match(name):
        suggestion = "Use lower-case letters, digits and '-', such as refunds."
        fields.problem("project", f"'{name}' is not a project's name.", suggestion=suggestion)
    fields.text("about", "")
    fields.text("owner", "")
    requires = _requires(fields.mapping("python"))
    retention = parse_retention(fields.mapping("retention")) if "retention" in fields.data else KEEP_FOREVER
    return Manifest(
        name,
        _settings(fields.mapping("settings")),
        _roles(fields),
        requires,
        retention,
        queues=parse_queues(fields.mapping("queues")),
        calendars=parse_calendars(fields.mapping("calendars")),
        environments=_environments(fields) if "environments" in fields else DEFAULT_ENVIRONMENTS,
        defaults=_defaults(fields),
        outgoing=OutgoingFilters(parse_outgoing(fields), parse_events(fields)),
        screening=parse_screening(fields) if "screening" in fields else UNFILTERED,
    )


def _environments(fields: Fields) -> dict[str, EnvironmentSpec]:
    """The environments that the project declares: a list of names, or a mapping of names to what they are for."""
    if isinstance(fields.data.get("environments"), list):
        found = {name: EnvironmentSpec(name) for name in fields.texts("environments")}
    else:
        given = fields.mapping("environments")
        found = {name: EnvironmentSpec(name, given.text(name, "")) for name in given.data}
    for name in found:
        if not _ENVIRONMENT.match(name):
            suggestion = "Use lower-case letters, digits and '-', such as staging."
            fields.problem("environments", f"'{name}' is not an environment's name.", suggestion=suggestion)
    if not found:
        suggestion = "Leave the key out for dev, staging and prod."
        fields.problem("environments", "A project has an environment.", suggestion=suggestion, code="missing-key")
    return found


def _settings(fields: Fields) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, given in fields.data.items():
        if not _SETTING.match(name):
            suggestion = "Use lower-case letters, digits and '_', such as shop_url."
            fields.problem(name, f"'{name}' is not a setting's name.", suggestion=suggestion)
        if isinstance(given, bool):
            found[name] = "true" if given else "false"
        elif isinstance(given, (str, int, float)):
            found[name] = str(given)
            if find_references(found[name]):
                suggestion = f"Set SIGNOFF_SETTING_{name.upper()} where it should differ."
                fields.problem(name, "A setting is a plain value.", suggestion=suggestion)
        else:
            fields.problem(name, f"'{name}' must be a text or a number.", code="wrong-type")
    return found


def _roles(fields: Fields) -> dict[str, str]:
    if isinstance(fields.data.get("roles"), list):
        found = dict.fromkeys(fields.texts("roles"), "")
    else:
        roles = fields.mapping("roles")
        found = {name: roles.text(name, "") for name in roles.data}
    for name in found:
        if not _ROLE.match(name):
            suggestion = "Use lower-case letters, digits and '-', without 'role/', such as support-lead."
            fields.problem("roles", f"'{name}' is not a role's name.", suggestion=suggestion)
    return found


def _defaults(fields: Fields) -> Defaults | None:
    """What the steps of all workflows say where they and their workflow say nothing."""
    report = Report(fields.report.file)
    found = read_defaults(report, fields.report.root.entries.get("defaults"))
    for problem in report.problems:
        fields.report.add_at(
            problem.line or 1,
            problem.column or 1,
            problem.detail,
            suggestion=problem.suggestion,
            code=problem.code or "invalid",
        )
    return found if "defaults" in fields else None


def _requires(fields: Fields) -> tuple[str, ...]:
    """The packages that workflows in Python need, as `name` or with a range of versions."""
    fields.only("requires")
    found = tuple(dict.fromkeys(fields.texts("requires"))) if "requires" in fields else ()
    if not found:
        return ()
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415  (most projects need none)

    for text in found:
        try:
            fits = Requirement(text)
        except InvalidRequirement:
            fits = None
        if fits is None or fits.url or fits.marker or fits.extras:
            suggestion = "Write a package's name, and versions behind it, such as python-dateutil>=2.9,<3."
            fields.problem("requires", f"'{text}' is no requirement.", suggestion=suggestion)
    return found


def parse_index(fields: Fields) -> IndexSettings:
    """How an index cuts its sources; what is wrong with it is reported."""
    fields.only("about", "chunk_size", "trusted")
    return IndexSettings(
        about=fields.text("about", ""),
        chunk_size=fields.integer(
            "chunk_size", DEFAULT_CHUNK_SIZE, lowest=SMALLEST_CHUNK_SIZE, highest=LARGEST_CHUNK_SIZE
        ),
        trusted=fields.boolean("trusted", default=False),
    )
