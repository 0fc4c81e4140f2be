"""`signoff serve` and `signoff worker`: the two planes apart."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from signoff.cli.options import EnvironmentOption, JsonOption, ProfileOption, ProjectOption, examples
from signoff.cli.output import print_json

if TYPE_CHECKING:
    from signoff.cli.processes import Stopping


def serve(  # noqa: PLR0917  (one for each option)
    project: ProjectOption = None,
    environment: EnvironmentOption = "dev",
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=0, max=65535, help="The port to listen on; 0 takes a free one.")
    ] = None,
    models: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the API alone: it takes starts, signals and decisions whether or not a worker is up, and serves models.

    The database is that of SIGNOFF_DATABASE__URL, else the project's own embedded one. What may be started is what
    'signoff deploy' brought to the environment.
    """
    from signoff.cli.processes import run_process, serve_until_stopped
    from signoff.cli.workspace import rooms_of, settings_of

    settings, rooms = settings_of(project), rooms_of()
    host, port = host or settings.api.host, settings.api.port if port is None else port

    async def work(stopping: Stopping) -> None:
        from signoff.api import ApiServer, create_app
        from signoff.capabilities.gateway.telemetry.metrics import CallMetrics
        from signoff.core.clock import SystemClock
        from signoff.foundation.database import open_database
        from signoff.foundation.logging import configure_logging
        from signoff.steps.served import open_gateway

        configure_logging(settings.logging)
        clock, counted = SystemClock(), CallMetrics()
        async with (
            open_database(settings) as database,
            open_gateway(
                database, clock=clock, models_profile=models, metrics=counted, telemetry=settings.telemetry, rooms=rooms
            ) as gateway,
        ):
            app = create_app(
                database, settings.api, clock, environment=environment, gateway=gateway, call_metrics=counted
            )
            server = ApiServer(app, host, port)

            def ready() -> None:
                if as_json:
                    print_json({"ready": True, "url": server.url, "environment": environment})
                else:
                    print(f"Ready: {server.url}  (environment {environment}; Ctrl-C stops)", flush=True)

            await serve_until_stopped(stopping, server=server, worker=None, ready=ready)

    raise typer.Exit(run_process(work))


def worker(
    project: ProjectOption = None,
    environment: EnvironmentOption = "dev",
    models: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a worker: it takes up runs, any number of workers side by side, and finishes them with no server up.

    Kill it whenever you like: what it held is taken up by another worker, from the journal.
    """
    from signoff.cli.processes import run_process, serve_until_stopped
    from signoff.cli.workspace import engine_limits, rooms_of, settings_of

    settings, rooms = settings_of(project), rooms_of()

    async def work(stopping: Stopping) -> None:
        from signoff.core.clock import SystemClock
        from signoff.foundation.database import open_database
        from signoff.foundation.logging import configure_logging
        from signoff.steps import open_worker
        from signoff.steps.served import open_gateway

        configure_logging(settings.logging)
        clock = SystemClock()
        async with (
            open_database(settings) as database,
            open_gateway(
                database, clock=clock, models_profile=models, telemetry=settings.telemetry, rooms=rooms
            ) as gateway,
            open_worker(
                database,
                clock=clock,
                gateway=gateway,
                settings=engine_limits(settings, rooms),
                rooms=rooms,
                environment=environment,
                models_profile=models,
                archives=settings.archives_path,
            ) as opened,
        ):

            def ready() -> None:
                if as_json:
                    print_json({"ready": True, "pid": os.getpid(), "environment": environment})
                else:
                    print(f"Ready: worker {os.getpid()} (environment {environment}; Ctrl-C stops)", flush=True)

            await serve_until_stopped(stopping, server=None, worker=opened, ready=ready)

    raise typer.Exit(run_process(work))


SERVE_EXAMPLES = examples("signoff serve --port 8080", "SIGNOFF_DATABASE__URL=postgresql://… signoff serve -e prod")
WORKER_EXAMPLES = examples("signoff worker", "signoff worker -e prod --models vendor")
