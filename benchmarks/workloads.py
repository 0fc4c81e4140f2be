"""The project that the benchmarks run, and how its runs are started.

A plain step is `set`: an event of its own in the journal, with the 200 random bytes of its run as its output. A
governed step calls a tool with an effect: a policy decision on the final arguments, labels, the intent on the disk
before the call, and the outcome. The first three are one event, where nothing comes between them, and the last another.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from signoff.catalog.model import Project, Release
from signoff.catalog.projects import load_project_files
from signoff.catalog.releases import point_environment, register
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime import StartRequest, start_run

ACTOR = Actor(DEFAULT_ORG_ID, "user", "bench", frozenset({"admin"}))
PAD_BYTES = 200
STEP_COUNTS = (1, 3, 5, 9)
FAN_OUT = 50
START_BATCH = 500
HOLD_S = 1.5
_TEXT = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
_INPUT = (
    "input: {type: object, properties: {pad: {type: string}, at: {type: string}}, required: [pad],"
    " additionalProperties: false}\n"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A workload: so many steps one after another, or side by side."""

    name: str
    steps: int
    governed: bool = False


PLAIN = Shape("bench/steps_5", 5)
GOVERNED = Shape("bench/governed", 5, governed=True)
FANNED = Shape("bench/fan_out", FAN_OUT)
HISTORIES = {events: Shape(f"bench/looping_{events}", (events - 3) // 2) for events in (10, 100, 1000, 5000)}
"""Shapes by how many events a run's journal comes to: a loop, of which each turn is a step's end and the turn's own."""
SERIAL = {count: Shape(f"bench/steps_{count}", count) for count in STEP_COUNTS}


def pad(source: random.Random) -> str:
    """200 characters that do not compress below 150 bytes."""
    return "".join(source.choices(_TEXT, k=PAD_BYTES))


def project_files(book: Path | None = None) -> dict[str, bytes]:
    """The project as a directory would hold it.

    Args:
        book: the file that the tool of `bench/holding` writes its effects to.
    """
    workflows = {
        "fan_out": "".join(f'  s{n}: {{set: {{pad: "${{input.pad}}"}}}}\n' for n in range(FAN_OUT)),
        "governed": "".join(f'  s{n}: {{tool: bench.act, with: {{pad: "{_pad_before(n)}"}}}}\n' for n in range(5)),
        "holding": '  h0: {tool: bench.hold, with: {key: "${input.pad}"}}\n'
        "  s0: {requires: h0, tool: bench.act_once, with: {}}\n",
        "asleep": '  w0: {wait: "${input.at}"}\n  s0: {requires: w0, set: {pad: "${input.pad}"}}\n',
        "asked": "  asked: {review: May it go on?, by: role/admin, show: [input.pad], expire: 30d}\n"
        '  s0: {requires: asked, set: {pad: "${input.pad}"}}\n',
    }
    for events, shape in HISTORIES.items():
        workflows[f"looping_{events}"] = _LOOP.format(turns=shape.steps)
    for count in STEP_COUNTS:
        workflows[f"steps_{count}"] = _serial(count)
    files = {f"workflows/{name}.yaml": _document(name, steps).encode() for name, steps in workflows.items()}
    return {
        "signoff.yaml": b"project: bench\nroles:\n  admin: Decides.\n",
        "policies/bench.cedar": _POLICY,
        "tools/bench.act.yaml": _TOOL,
        "tools/act.py": b"async def act(arguments):\n    return {'pad': arguments['pad']}\n",
        **files,
        **_holding(book),
    }


def _holding(book: Path | None) -> dict[str, bytes]:
    """Tools that hold still, and act on a file that deduplicates nothing."""
    source = _BOOK.format(book=str(book or "acted.txt"), hold_s=HOLD_S)
    files = {"tools/book.py": source.encode()}
    for name, about, effect, timeout, more in (
        ("hold", "Holds still.", "none", "120s", ""),
        ("act_once", "Acts, with no second look.", "write", "3s", _LOOKED_UP),
        ("acted", "Whether it acted.", "none", "30s", ""),
    ):
        contract = _BOOK_TOOL.format(name=name, about=about, effect=effect, timeout=timeout, function=name)
        files[f"tools/bench.{name}.yaml"] = (contract + more).encode()
    return files


def _serial(count: int) -> str:
    return "".join(f'  s{n}: {{set: {{pad: "{_pad_before(n)}"}}}}\n' for n in range(count))


def _pad_before(step: int) -> str:
    return "${input.pad}" if step == 0 else f"${{s{step - 1}.pad}}"


def _document(name: str, steps: str) -> str:
    head = f"workflow: bench/{name}\nversion: 1.0.0\nabout: A workload.\nowner: team/bench\nrisk: low\n"
    given = _INPUT.replace("[pad]", "[pad, at]") if "input.at" in steps else _INPUT
    return f"{head}{given}steps:\n{steps}outcome: {{done: s0.done}}\n"


_POLICY = b"""
@id("bench-may-act")
permit (principal, action == Action::"tool.call", resource == Tool::"bench.act")
when { context.workflow == "bench/governed" };

@id("bench-may-hold")
permit (principal, action == Action::"tool.call", resource)
when { context.workflow == "bench/holding" };

@id("bench-may-decide")
permit (principal, action == Action::"review.decide", resource);

@id("no-secrets")
forbid (principal, action == Action::"tool.call", resource)
when { context.arguments has secret };
"""

_TOOL = b"""
tool: bench.act
about: Gives back what it was given.
effect: write
python: "tools/act.py:act"
input:
  type: object
  properties:
    pad: {type: string, x-signoff: {sink: any}}
    key: {type: string}
  required: [pad]
  additionalProperties: false
output: {type: object, properties: {pad: {type: string}}, required: [pad]}
timeout: 5s
idempotency: {argument: key, recovery: resend}
"""


_LOOP = """  s0:
    repeat: {{act: {{set: {{pad: "${{input.pad}}"}}}}}}
    until: index + 1 >= {turns}
    max: 10000
"""

_BOOK_TOOL = """
tool: bench.{name}
about: {about}
effect: {effect}
python: "tools/book.py:{function}"
input: {{type: object, properties: {{key: {{type: string}}}}, additionalProperties: false}}
output: {{type: object, properties: {{ok: {{type: boolean}}}}, required: [ok]}}
timeout: {timeout}
"""

_LOOKED_UP = "idempotency: {argument: key, recovery: lookup, lookup: {tool: bench.acted, argument: key}}\n"

_BOOK = """
import asyncio
import os
from signoff.core.errors import StepError

BOOK = {book!r}


async def hold(arguments):
    while not os.path.exists(BOOK + ".go"):
        await asyncio.sleep(0.05)
    return {{"ok": True}}


async def act_once(arguments):
    book = os.open(BOOK, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(book, (arguments["key"] + chr(10)).encode())
    finally:
        os.close(book)
    await asyncio.sleep({hold_s})
    return {{"ok": True}}


async def acted(arguments):
    with open(BOOK) as book:
        if arguments["key"] + chr(10) in book.readlines():
            return {{"ok": True}}
    raise StepError("it never acted", kind="not_found")
"""


async def released(database: Database, *, book: Path | None = None) -> Release:
    """The project as the release of environment `dev`."""
    project: Project = load_project_files(project_files(book))
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        digest = await register(connection, DEFAULT_ORG_ID, project, ACTOR)
        await point_environment(connection, DEFAULT_ORG_ID, project.name, "dev", digest, actor=ACTOR)
    return Release(digest, project)


async def start_runs(
    database: Database,
    release: Release,
    name: str,
    count: int,
    source: random.Random,
    *,
    moments: Iterator[str] | None = None,
    flushes: bool = True,
) -> Sequence[UUID]:
    """Start so many runs, a few hundred in each transaction; `moments` are their inputs `at`.

    Where it does not flush, the caller has to wait for `database.flushes.wait()`, as the API does.
    """
    workflow = release.project.workflows[name]
    started: list[UUID] = []
    while len(started) < count:
        now = SystemClock().now()
        async with database.transaction(DEFAULT_ORG_ID, flushes=flushes) as connection:
            for _ in range(min(START_BATCH, count - len(started))):
                value = {"pad": pad(source)} if moments is None else {"pad": pad(source), "at": next(moments)}
                request = StartRequest(workflow, release.digest, value, ACTOR)
                started.append((await start_run(connection, request, now=now)).run_id)
    return started
