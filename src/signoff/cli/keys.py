"""`signoff keys`: API keys, made and ended on the database directly, by whoever holds its password."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from signoff.cli.options import JsonOption, ProjectOption, examples
from signoff.cli.output import console, plain, print_json, tell

if TYPE_CHECKING:
    from signoff.foundation.database import Connection
    from signoff.governance.identity import Key

Result = TypeVar("Result")

app = typer.Typer(help="API keys: create, list, revoke.", no_args_is_help=True, rich_markup_mode=None)


@app.command(
    epilog=examples(
        "signoff keys create ci --role ticket-intake",
        "signoff keys create support-bot --role support-program --team support",
        "signoff keys create ana@example.com --person --role support-lead --expires-in 90 --save",
    )
)
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is: ci, ana@example.com.")],
    *,
    roles: Annotated[list[str] | None, typer.Option("--role", help="A role; may be given several times.")] = None,
    team: Annotated[str, typer.Option("--team", help="Whose limits its calls to models count in.")] = "",
    person: Annotated[bool, typer.Option("--person", help="A person signs in with it, not a program.")] = False,
    expires_in_days: Annotated[int | None, typer.Option("--expires-in", min=1, help="Days it is valid.")] = None,
    save: Annotated[
        bool, typer.Option("--save", help="Also keep it in .signoff/dev.json, for --key NAME. For development.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key. Its secret is printed this once and stored nowhere."""
    from signoff.cli.operators import OPERATOR
    from signoff.governance.identity import create_key

    async def work(connection: Connection, now: datetime) -> tuple[Key, str]:
        return await create_key(
            connection,
            OPERATOR.org_id,
            name,
            [role.removeprefix("role/") for role in roles or []],
            created_by=OPERATOR,
            now=now,
            kind="user" if person else "key",
            expires_at=None if expires_in_days is None else now + timedelta(days=expires_in_days),
            team=team,
        )

    key, text = _on_database(project, work)
    if save:
        _save(project, name, text)
    if as_json:
        print_json({**key.as_dict(), "key": text})
        return
    of = f", team: {team}" if team else ""
    tell(
        f"Key {key.key_id} of {key.actor.kind}/{name}, roles: {', '.join(sorted(key.roles)) or 'none'}{of}. Shown once:"
    )
    print(text)


@app.command("list", epilog=examples("signoff keys list", "signoff keys list --json"))
def list_(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List the keys, revoked and expired ones included. Secrets are not known to anybody."""
    from rich.table import Table

    from signoff.cli.operators import OPERATOR
    from signoff.governance.identity import list_keys

    async def work(connection: Connection, _: datetime) -> tuple[Key, ...]:
        return await list_keys(connection, OPERATOR.org_id)

    keys = _on_database(project, work)
    if as_json:
        print_json([key.as_dict() for key in keys])
        return
    table = Table("key", "of", "roles", "team", "created", "last used", "state", box=None, header_style="bold")
    for key in keys:
        state = "revoked" if key.revoked_at else f"expires {_day(key.expires_at)}" if key.expires_at else ""
        whose = (key.key_id, str(key.actor), ", ".join(sorted(key.roles)), key.team)
        table.add_row(*(plain(cell) for cell in (*whose, _day(key.created_at), _day(key.last_used_at), state)))
    console().print(table)


@app.command(epilog=examples("signoff keys revoke 00112233aabbccdd"))
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as the list shows it.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key for good, from now on. Doing it again changes nothing."""
    from signoff.cli.operators import OPERATOR
    from signoff.governance.identity import revoke_key

    async def work(connection: Connection, now: datetime) -> Key:
        return await revoke_key(connection, OPERATOR.org_id, key_id, revoked_by=OPERATOR, now=now)

    key = _on_database(project, work)
    if as_json:
        print_json(key.as_dict())
    else:
        print(f"Key {key.key_id} of {key.actor} is revoked.")


def _on_database(project: Path | None, work: Callable[[Connection, datetime], Awaitable[Result]]) -> Result:
    import asyncio

    from signoff.cli.operators import OPERATOR
    from signoff.cli.workspace import settings_of
    from signoff.core.clock import SystemClock
    from signoff.foundation.database import open_database

    settings = settings_of(project)

    async def main() -> Result:
        async with open_database(settings) as database, database.transaction(OPERATOR.org_id) as connection:
            return await work(connection, SystemClock().now())

    return asyncio.run(main())


def _save(project: Path | None, name: str, text: str) -> None:
    from signoff.cli.workspace import read_dev, settings_of, write_dev

    directory = settings_of(project).state_path
    directory.mkdir(parents=True, exist_ok=True)
    state = read_dev(directory)
    write_dev(directory, replace(state, keys={**state.keys, name: text}))


def _day(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")
