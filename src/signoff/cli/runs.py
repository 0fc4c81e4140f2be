"""`signoff run` and `signoff runs`: start, list, show, cancel, signal; and a run's journal."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from signoff.cli.options import (
    JsonOption,
    KeyOption,
    ListGroup,
    ProjectOption,
    UrlOption,
    examples,
    seconds,
    server_named,
)
from signoff.cli.output import EXIT_FAILURE, EXIT_STILL_RUNNING, print_json, tell
from signoff.cli.start_options import (
    AttributeOption,
    DebounceOption,
    DeduplicateOption,
    DelayOption,
    QueueKeyOption,
    QueueOption,
    StartAtOption,
    TeamOption,
    known_by,
    start_options,
)

if TYPE_CHECKING:
    from signoff.cli.client import ApiClient

POLL_S = 5.0
"""How long one request waits for a run's end; what a run waits for is looked at as often."""
PAUSE_S = 1.0
ENDED = ("done", "failed", "cancelled", "terminated")

app = typer.Typer(
    cls=ListGroup, help="Runs: list, show, explain, steer, move, fork. Without a command: list.", rich_markup_mode=None
)

RunId = Annotated[UUID, typer.Argument(help="The run's id.")]
InputOption = Annotated[
    str, typer.Option("--input", "-i", help="The input: a JSON file, '-' for standard input, or the JSON itself.")
]


def run(
    workflow: Annotated[str, typer.Argument(help="The workflow's name.")],
    *,
    value: InputOption = "{}",
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="The same key gives the same run, for ever.")
    ] = None,
    priority: Annotated[int, typer.Option("--priority", min=1, max=9, help="1 is first, 9 is last.")] = 5,
    delay: DelayOption = None,
    start_at: StartAtOption = None,
    team: TeamOption = None,
    queue: QueueOption = None,
    queue_key: QueueKeyOption = None,
    once: DeduplicateOption = None,
    quiet: DebounceOption = None,
    attributes: AttributeOption = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until the run has ended, then show it.")] = False,
    timeout_s: Annotated[
        float | None,
        typer.Option(
            "--timeout", parser=seconds, metavar="DURATION", help="With --wait: how long at most, such as 90s or 5m."
        ),
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a run of a workflow. Prints the run's id; with --wait, what became of it."""
    body: dict[str, Any] = {"workflow": workflow, "input": read_json(value, "--input"), "priority": priority}
    body |= start_options(
        attributes=attributes,
        delay=delay,
        start_at=start_at,
        team=team,
        queue=queue,
        queue_key=queue_key,
        once=once,
        quiet=quiet,
    )
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    with server_named(url, key, project) as client:
        started = client.post("/v1/runs", body, headers)
        if not started["created"]:
            tell(known_by(body))
        if not wait:
            if as_json:
                print_json(started)
            else:
                print(started["run_id"])
            return
        tell(f"Run {started['run_id']} …")
        found = _until_ended(client, started, timeout_s)
    _show(found, as_json)
    if found["status"] not in ENDED:
        raise typer.Exit(EXIT_STILL_RUNNING)
    if found["status"] != "done":
        raise typer.Exit(EXIT_FAILURE)


@app.command("list", epilog=examples("signoff runs list --status waiting", "signoff runs list --json | jq -r .run_id"))
def list_(
    *,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", "-s", help="queued, running, waiting, paused, stuck, done, failed, cancelled, terminated."
        ),
    ] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", help="Only of this workflow.")] = None,
    where: Annotated[
        str, typer.Option("--where", "--filter", "-f", help="A filter: customer = 'c1' and cents > 1000.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first. With --json: one object per line."""
    with server_named(url, key, project) as client:
        found = client.pages("/v1/runs", most=limit, status=status, workflow=workflow, filter=where or None)
        if as_json:
            for item in found:
                print(json.dumps(item))
            return
        from signoff.cli.run_views import print_runs

        print_runs(list(found))


@app.command(epilog=examples("signoff runs show 0198c5a0-…", "signoff runs show 0198c5a0-… --at 17"))
def show(
    run_id: RunId,
    *,
    at: Annotated[int | None, typer.Option("--at", min=1, help="As of that event of its journal.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a run: status, outcome, steps, what it waits for, who decided, what its models cost."""
    with server_named(url, key, project) as client:
        found = client.get(f"/v1/runs/{run_id}", steps="true", at=at)
    _show(found, as_json)


@app.command(epilog=examples("signoff runs journal 0198c5a0-…", "signoff runs journal 0198c5a0-… --json | jq .kind"))
def journal(
    run_id: RunId,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Everything that happened in a run, in order. With --json: one event per line, with all its data."""
    with server_named(url, key, project) as client:
        events = client.pages(f"/v1/runs/{run_id}/journal", most=sys.maxsize)
        if as_json:
            for event in events:
                print(json.dumps(event))
            return
        from signoff.cli.run_views import print_journal

        print_journal(events)


@app.command(
    epilog=examples(
        "signoff runs signal 0198c5a0-… STEP --data '{\"ok\": true}'",
        'signoff runs signal 0198c5a0-… refund --kind effect.resolution --data \'{"resolution": "happened", …}\'',
    )
)
def signal(
    run_id: RunId,
    step: Annotated[str, typer.Argument(help="The step that it is for.")],
    *,
    kind: Annotated[str, typer.Option("--kind", help="What it is.")] = "signal",
    data: Annotated[str, typer.Option("--data", "-d", help="A JSON file, '-', or the JSON itself.")] = "{}",
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send something to a step that waits."""
    said = read_json(data, "--data")
    body = {"step": step, "kind": kind, "data": said}
    with server_named(url, key, project) as client:
        if kind == "effect.resolution":
            _name_the_try(client, run_id, step, said)
        answer = client.post(f"/v1/runs/{run_id}/signals", body)
    if as_json:
        print_json(answer)
    else:
        print(f"Sent to step {step} of run {run_id}.")


RUN_EXAMPLES = examples(
    "signoff run support/refund --input ticket.json",
    'signoff run hello -i \'{"name": "Ana", "text": "When do you open?"}\' --wait',
    "signoff run support/refund -i ticket.json --attribute customer=c1 --attribute cents=1250",
    "cat ticket.json | signoff run support/refund -i - --idempotency-key ticket-4711",
)


def read_json(text: str, option: str) -> dict[str, Any]:
    """The JSON object that an option means: a file's, standard input's, or its own.

    Raises:
        typer.BadParameter: it cannot be read, or is no JSON object.
    """
    place = "standard input" if text == "-" else option if text.lstrip().startswith(("{", "[")) else text
    try:
        content = sys.stdin.read() if text == "-" else text if place == option else Path(text).read_text("utf-8")
        value: Any = json.loads(content)
    except json.JSONDecodeError as error:
        where = f"{place}:{error.lineno}:{error.colno}"
        raise typer.BadParameter(f"{where}: this is not JSON: {error.msg}.", param_hint=option) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise typer.BadParameter(f"{place} cannot be read: {reason}.", param_hint=option) from None
    except (ValueError, RecursionError):
        detail = f"{place}: a number is too long, or lists and objects are nested too deeply."
        raise typer.BadParameter(detail, param_hint=option) from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{place}: a JSON object is needed.", param_hint=option)
    return value  # pyright: ignore[reportUnknownVariableType]  (JSON's own types)


def _name_the_try(client: ApiClient, run_id: UUID, step: str, data: dict[str, Any]) -> None:
    """Say which try a resolution is about, so that it answers no later question should it arrive twice."""
    for entry in client.get(f"/v1/runs/{run_id}")["waiting_for"]:
        if entry["step"] == step and entry.get("attempt") is not None:
            data.setdefault("attempt", entry["attempt"])


def _until_ended(client: ApiClient, started: dict[str, Any], timeout_s: float | None) -> dict[str, Any]:
    """The run once it has ended, or as it is when the time is over. The server answers when it ends."""
    from signoff.core.errors import NotFoundError

    path, told = f"/v1/runs/{started['run_id']}", False
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = POLL_S if deadline_s is None else min(POLL_S, deadline_s - time.monotonic())
        asked_s = time.monotonic()
        try:
            found = client.get(path, wait=f"{left_s:.3f}s" if left_s > 0 else None)
        except NotFoundError:  # debounced: it has its id at once, and is there once it has begun
            if started.get("starts_at") is None or left_s <= 0:
                raise
            time.sleep(min(left_s, PAUSE_S))
            continue
        if found["status"] in ENDED or left_s <= 0:
            return client.get(path, steps="true")
        reviews = [entry for entry in found["waiting_for"] if entry["kind"] == "review"]
        if reviews and not told:
            told = True
            tell(f"It waits for a person: {reviews[0]['about']}")
        if time.monotonic() - asked_s < min(left_s, PAUSE_S):
            time.sleep(min(left_s, PAUSE_S))  # too many wait already: the server answers at once


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from signoff.cli.run_views import print_run

    print_run(found)
