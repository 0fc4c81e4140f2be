"""The project that the benchmarks run, and how its runs are started.

A plain step is `set`: an event of its own in the journal, with the 200 random bytes of its run as its output. A
governed step calls a tool with an effect: a policy decision on the final arguments, labels, the intent on the disk
before the call, and the outcome, four events in all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
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
SERIAL = {count: Shape(f"bench/steps_{count}", count) for count in STEP_COUNTS}


def pad(source: random.Random) -> str:
    """200 characters that do not compress below 150 bytes."""
    return "".join(source.choices(_TEXT, k=PAD_BYTES))


def project_files() -> dict[str, bytes]:
    """The project as a directory would hold it."""
    workflows = {
        "fan_out": "".join(f'  s{n}: {{set: {{pad: "${{input.pad}}"}}}}\n' for n in range(FAN_OUT)),
        "governed": "".join(f'  s{n}: {{tool: bench.act, with: {{pad: "{_pad_before(n)}"}}}}\n' for n in range(5)),
        "asked": "  asked: {review: May it go on?, by: role/admin, show: [input.pad], expire: 30d}\n"
        '  s0: {requires: asked, set: {pad: "${input.pad}"}}\n',
    }
    for count in STEP_COUNTS:
        workflows[f"steps_{count}"] = _serial(count)
    files = {f"workflows/{name}.yaml": _document(name, steps).encode() for name, steps in workflows.items()}
    return {
        "signoff.yaml": b"project: bench\nroles:\n  admin: Decides.\n",
        "policies/bench.cedar": _POLICY,
        "tools/bench.act.yaml": _TOOL,
        "tools/act.py": b"async def act(arguments):\n    return {'pad': arguments['pad']}\n",
        **files,
    }


def _serial(count: int) -> str:
    return "".join(f'  s{n}: {{set: {{pad: "{_pad_before(n)}"}}}}\n' for n in range(count))


def _pad_before(step: int) -> str:
    return "${input.pad}" if step == 0 else f"${{s{step - 1}.pad}}"


def _document(name: str, steps: str) -> str:
    head = f"workflow: bench/{name}\nversion: 1.0.0\nabout: A workload.\nowner: team/bench\nrisk: low\n"
    return f"{head}{_INPUT}steps:\n{steps}outcome: {{done: s0.done}}\n"


_POLICY = b"""
@id("bench-may-act")
permit (principal, action == Action::"tool.call", resource == Tool::"bench.act")
when { context.workflow == "bench/governed" };

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


async def released(database: Database) -> Release:
    """The project as the release of environment `dev`."""
    project: Project = load_project_files(project_files())
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        digest = await register(connection, DEFAULT_ORG_ID, project, ACTOR)
        await point_environment(connection, DEFAULT_ORG_ID, project.name, "dev", digest, actor=ACTOR)
    return Release(digest, project)


async def start_runs(
    database: Database, release: Release, name: str, count: int, source: random.Random
) -> Sequence[UUID]:
    """Start so many runs, a few hundred in each transaction."""
    workflow = release.project.workflows[name]
    started: list[UUID] = []
    while len(started) < count:
        now = SystemClock().now()
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            for _ in range(min(START_BATCH, count - len(started))):
                request = StartRequest(workflow, release.digest, {"pad": pad(source)}, ACTOR)
                started.append((await start_run(connection, request, now=now)).run_id)
    return started
