"""`signoff queues`: what is bounded, what is in use, what waits and since when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.cli.options import JsonOption, KeyOption, ListGroup, ProjectOption, UrlOption, examples, server_named
from signoff.cli.output import moment, print_json, print_table

if TYPE_CHECKING:
    from signoff.cli.client import ApiClient

app = typer.Typer(
    cls=ListGroup, help="Queues: list, show, pause, resume. Without a command: list.", rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(help="The queue's name; PROJECT/NAME where several projects have one.")]


@app.command("list", epilog=examples("signoff queues list", "signoff queues list --json | jq -r .waiting"))
def list_(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 100,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List queues by project and name: slots in use, runs waiting, the oldest wait. With --json: one per line."""
    with server_named(url, key, project) as client:
        found = list(client.pages("/v1/queues", most=limit))
    if as_json:
        for item in found:
            print(json.dumps(item))
        return
    if not found:
        print("No queues that you may read: policy asks 'queue.read', and a release declares them in signoff.yaml.")
        return
    print_table(
        ("queue", "in use", "waiting", "since", "rate", "state"),
        [
            (
                f"{item['project']}/{item['name']}",
                _used(item),
                item["waiting"],
                moment(item["waiting_since"]),
                _rate(item),
                _state(item),
            )
            for item in found
        ],
    )


@app.command(epilog=examples("signoff queues show refunds", "signoff queues show support/refunds --json"))
def show(
    name: Name,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a queue, and what its teams and keys have of it."""
    with server_named(url, key, project) as client:
        found = client.get(_path(client, name))
    if as_json:
        print_json(found)
        return
    lines = {
        "queue": f"{found['project']}/{found['name']}",
        "in use": _used(found),
        "rate": _rate(found),
        "per team": _bounds(found["per_team"]),
        "per key": _bounds(found["per_key"]),
        "waiting": f"{found['waiting']} of at most {found['max_queued']}",
        "since": moment(found["waiting_since"]),
        "while a person is awaited": "gives its slot back" if found["release_while_waiting"] else "keeps its slot",
        "state": _state(found),
    }
    print_table(("", ""), list(lines.items()))
    for head, shares in (("team", found["teams"]), ("key", found["keys"])):
        if shares:
            rows = [(share["label"] or "(none)", share["in_use"], share["waiting"]) for share in shares]
            print_table((head, "in use", "waiting"), rows)


@app.command(epilog=examples("signoff queues pause refunds --reason 'the bank is down'"))
def pause(
    name: Name,
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; others see it.")] = "",
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let no run begin until it is resumed: starts wait, what has begun goes on."""
    with server_named(url, key, project) as client:
        found = client.post(_path(client, name) + "/pause", {"reason": reason})
    print_json(found) if as_json else print(f"{name} is paused; {found['waiting']} runs wait in it.")


@app.command(epilog=examples("signoff queues resume refunds"))
def resume(
    name: Name,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let runs begin again, as its bounds allow."""
    with server_named(url, key, project) as client:
        found = client.post(_path(client, name) + "/resume", {})
    print_json(found) if as_json else print(f"{name} goes on.")


def _path(client: ApiClient, name: str) -> str:
    from signoff.core.errors import InvalidError, NotFoundError

    if "/" in name:
        return f"/v1/queues/{name}"
    found = [item["project"] for item in client.pages("/v1/queues", most=1000) if item["name"] == name]
    if not found:
        raise NotFoundError(f"There is no queue '{name}' that you may see.")
    if len(found) > 1:
        raise InvalidError(
            f"Several projects have a queue '{name}': write {' or '.join(f'{p}/{name}' for p in found)}."
        )
    return f"/v1/queues/{found[0]}/{name}"


def _used(item: dict[str, Any]) -> str:
    most = item["whole"]["concurrency"]
    return "not bounded" if most is None else f"{item['in_use']} of {most}"


def _rate(item: dict[str, Any]) -> str:
    rate = item["whole"]["rate"]
    if rate is None:
        return ""
    told = f"{rate['count']} in {rate['period_s']:g} s; {int(item['tokens'] + 1e-6)} may begin now"
    return told if item["next_token_at"] is None else f"{told}, the next at {moment(item['next_token_at'])}"


def _bounds(bounds: dict[str, Any]) -> str:
    rate = bounds["rate"]
    told = [] if bounds["concurrency"] is None else [f"{bounds['concurrency']} at once"]
    told += [] if rate is None else [f"{rate['count']} in {rate['period_s']:g} s"]
    return ", ".join(told) or "not bounded"


def _state(item: dict[str, Any]) -> str:
    if item["paused"]:
        because = f": {item['paused_reason']}" if item["paused_reason"] else ""
        return f"paused by {item['paused_by']}{because}"
    return "" if item["declared"] else "declared no more"
