"""`signoff dev`: PostgreSQL, API and worker of one project in one process."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from signoff.cli.options import JsonOption, ProfileOption, ProjectOption, examples
from signoff.cli.output import EXIT_FAILURE, print_error, print_json, tell

if TYPE_CHECKING:
    from signoff.catalog import Project
    from signoff.cli.processes import Stopping
    from signoff.foundation.database import Database
    from signoff.foundation.settings import Settings
    from signoff.steps.rooms import RoomSettings

ENVIRONMENT = "dev"
Address = tuple[str, int]
"""Host and port."""
DEVELOPER = "developer"


def dev(
    project: ProjectOption = None,
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=0, max=65535, help="The port to listen on; 0 takes a free one.")
    ] = None,
    models: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a project on this machine: PostgreSQL, API and worker in one process. Ctrl-C stops it.

    The project as it is now becomes a release of environment 'dev'; start again after a change. The other commands find
    the server by themselves, through '.signoff/dev.json', which also holds a developer's key with all of the project's
    roles.
    """
    from signoff.cli.processes import run_process
    from signoff.cli.workspace import AlreadyRunningError, only_dev, read_dev, rooms_of, settings_of, write_dev

    settings, rooms = settings_of(project), rooms_of()
    host, port = host or settings.api.host, settings.api.port if port is None else port

    async def work(stopping: Stopping) -> None:
        await _run(stopping, settings, rooms, at=(host, port), models=models, as_json=as_json)

    try:
        with only_dev(settings.state_path):
            try:
                code = run_process(work)
            finally:
                state = read_dev(settings.state_path)
                if state.url is not None:
                    write_dev(settings.state_path, replace(state, url=None, pid=None))
    except AlreadyRunningError as error:
        print_error(error)
        code = EXIT_FAILURE
    raise typer.Exit(code)


DEV_EXAMPLES = examples("signoff dev", "signoff dev --port 0 --json", "signoff dev -C examples/refunds")


async def _run(
    stopping: Stopping, settings: Settings, rooms: RoomSettings, *, at: Address, models: str | None, as_json: bool
) -> None:
    from signoff.api import ApiServer, create_app
    from signoff.capabilities.gateway.telemetry.metrics import CallMetrics
    from signoff.catalog import load_project
    from signoff.cli.deploying import keep_snapshot
    from signoff.cli.processes import serve_until_stopped
    from signoff.cli.workspace import engine_limits, read_dev, write_dev
    from signoff.core.clock import SystemClock
    from signoff.foundation.database import open_database
    from signoff.foundation.logging import configure_logging
    from signoff.steps import open_worker
    from signoff.steps.served import open_gateway

    configure_logging(settings.logging)
    clock, counted = SystemClock(), CallMetrics()
    project = load_project(settings.project)
    tell(f"Project {project.name}: {len(project.workflows)} workflow(s). Starting PostgreSQL …")
    async with open_database(settings) as database:
        tell("Registering the release and building its indexes …")
        digest = await keep_snapshot(database, project, environment=ENVIRONMENT, clock=clock, models_profile=models)
        key = await _developer_key(database, settings, project)
        async with (
            open_gateway(
                database, clock=clock, models_profile=models, metrics=counted, telemetry=settings.telemetry, rooms=rooms
            ) as gateway,
            open_worker(
                database,
                clock=clock,
                settings=engine_limits(settings, rooms),
                environment=ENVIRONMENT,
                models_profile=models,
                archives=settings.archives_path,
                gateway=gateway,
                rooms=rooms,
            ) as worker,
        ):
            app = create_app(
                database,
                settings.api,
                clock,
                environment=ENVIRONMENT,
                project=project.name,
                gateway=gateway,
                call_metrics=counted,
            )
            server = ApiServer(app, *at)

            def ready() -> None:
                state = read_dev(settings.state_path)
                write_dev(settings.state_path, replace(state, url=server.url, pid=os.getpid(), key=key))
                facts = {"url": server.url, "project": project.name, "release": digest, "environment": ENVIRONMENT}
                if as_json:
                    print_json({"ready": True, **facts})
                else:
                    about = f"API document at /docs; release {digest[:12]}; Ctrl-C stops"
                    print(f"Ready: {server.url}  ({about})", flush=True)

            await serve_until_stopped(stopping, server=server, worker=worker, ready=ready)


async def _developer_key(database: Database, settings: Settings, project: Project) -> str:
    """The key of the last start where it still opens the door with the project's roles, else a new one."""
    from signoff.cli.operators import OPERATOR
    from signoff.cli.workspace import read_dev
    from signoff.core.clock import SystemClock
    from signoff.core.errors import UnauthenticatedError
    from signoff.foundation.database import DEFAULT_ORG_ID
    from signoff.governance.identity import authenticate, create_key, revoke_key

    now, known, roles = SystemClock().now(), read_dev(settings.state_path).key, frozenset(project.roles)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        if known is not None:
            try:
                actor = await authenticate(connection, known, now=now)
            except UnauthenticatedError:
                tell("The developer's key of the last start is not valid any more; a new one is made.")
            else:
                if actor.roles == roles:
                    return known
                await revoke_key(connection, DEFAULT_ORG_ID, known.split("_")[1], revoked_by=OPERATOR, now=now)
        _, text = await create_key(
            connection, DEFAULT_ORG_ID, DEVELOPER, roles, created_by=OPERATOR, now=now, kind="user"
        )
        return text
