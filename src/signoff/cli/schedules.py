"""`signoff schedules`: what is started by itself, when, and what came of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.cli.options import JsonOption, KeyOption, ListGroup, ProjectOption, UrlOption, examples, server_named
from signoff.cli.output import moment, print_json, print_table, tell

if TYPE_CHECKING:
    from signoff.cli.client import ApiClient

app = typer.Typer(
    cls=ListGroup,
    help="Schedules: list, show, next, pause, resume, trigger, backfill. Without a command: list.",
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="The schedule's name; PROJECT/NAME where several projects have one.")]


@app.command("list", epilog=examples("signoff schedules list", "signoff schedules list --json | jq -r .next_at"))
def list_(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 100,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List schedules by project and name. With --json: one object per line."""
    with server_named(url, key, project) as client:
        found = list(client.pages("/v1/schedules", most=limit))
    if as_json:
        for item in found:
            print(json.dumps(item))
        return
    if not found:
        print("No schedules that you may read: policy asks 'schedule.read', and a release declares them in schedules/.")
        return
    print_table(
        ("schedule", "workflow", "when", "next", "state"),
        [
            (
                f"{item['project']}/{item['name']}",
                item["workflow"],
                _when(item),
                moment(item["next_at"]),
                "paused" if item["paused"] else "",
            )
            for item in found
        ],
    )


@app.command(epilog=examples("signoff schedules show nightly-report"))
def show(
    name: Name,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a schedule, and what became of its latest times."""
    with server_named(url, key, project) as client:
        found = client.get(_path(client, name))
    if as_json:
        print_json(found)
        return
    by = f" by {found['paused_by']}: {found['paused_reason']}" if found["paused_by"] else ""
    lines = {
        "schedule": f"{found['project']}/{found['name']}",
        "about": found["about"],
        "workflow": found["workflow"],
        "when": _when(found),
        "overlap": found["overlap"],
        "catch-up": found["catch_up"],
        "next": f"paused{by}" if found["paused"] else moment(found["next_at"]),
        "last run": found["last_run_id"],
    }
    print_table(("", ""), list(lines.items()))
    print_table(
        ("time", "cause", "became", "run", ""),
        [
            (moment(item["nominal_at"]), item["cause"], item["status"], item["run_id"], item["detail"])
            for item in found["firings"]
        ],
    )


@app.command("next", epilog=examples("signoff schedules next nightly-report 5"))
def next_(
    name: Name,
    count: Annotated[int, typer.Argument(min=1, max=1000, help="How many.")] = 10,
    *,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """When it is due next, in your time zone; with --json in UTC."""
    with server_named(url, key, project) as client:
        found = client.get(_path(client, name) + "/next", count=count)
    _print_times(found, as_json)


@app.command(epilog=examples("signoff schedules pause nightly-report --reason 'the shop is closed'"))
def pause(
    name: Name,
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; others see it.")] = "",
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let nothing of it be due until it is resumed; runs that it started go on."""
    with server_named(url, key, project) as client:
        found = client.post(_path(client, name) + "/pause", {"reason": reason})
    print_json(found) if as_json else print(f"{name} is paused.")


@app.command(epilog=examples("signoff schedules resume nightly-report"))
def resume(
    name: Name,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with its next time; those of the pause are not run (see backfill)."""
    with server_named(url, key, project) as client:
        found = client.post(_path(client, name) + "/resume", {})
    print_json(found) if as_json else print(f"{name} is due next at {moment(found['next_at'])}.")


@app.command(
    epilog=examples(
        "signoff schedules trigger nightly-report", "signoff schedules trigger nightly-report --idempotency-key t-4711"
    )
)
def trigger(
    name: Name,
    *,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="The same key gives the same run.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start its run now. Prints the run's id."""
    with server_named(url, key, project) as client:
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        found = client.post(_path(client, name) + "/trigger", {}, headers)
    if not found["created"]:
        tell("This idempotency key started the run before.")
    print_json(found) if as_json else print(found["run_id"])


@app.command(
    epilog=examples(
        "signoff schedules backfill nightly-report --from 2026-03-01T00:00:00Z --to 2026-03-07T00:00:00Z --dry-run"
    )
)
def backfill(
    name: Name,
    *,
    first: Annotated[str, typer.Option("--from", help="The first moment, RFC 3339 with its offset.")],
    last: Annotated[str, typer.Option("--to", help="The last moment, included; not in the future.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell which times they are.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the times of a span that is over; one that was run before is not run again."""
    with server_named(url, key, project) as client:
        body = {"from": first, "to": last, "dry_run": dry_run}
        found = client.post(_path(client, name) + "/backfill", body)
    _print_times(found, as_json)


def _path(client: ApiClient, name: str) -> str:
    from signoff.core.errors import InvalidError, NotFoundError

    if "/" in name:
        return f"/v1/schedules/{name}"
    found = [item["project"] for item in client.pages("/v1/schedules", most=1000) if item["name"] == name]
    if not found:
        raise NotFoundError(f"There is no schedule '{name}' that you may see.")
    if len(found) > 1:
        raise InvalidError(
            f"Several projects have a schedule '{name}': write {' or '.join(f'{p}/{name}' for p in found)}."
        )
    return f"/v1/schedules/{found[0]}/{name}"


def _when(item: dict[str, Any]) -> str:
    return f"{item['cron']} ({item['time_zone']})" if item["cron"] else f"every {item['every_s']} s"


def _print_times(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    before = set(found.get("before", ()))
    for text in found["times"]:
        print(moment(text) + ("  was run before" if text in before else ""))
