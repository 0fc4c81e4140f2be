"""200 tickets made like the demo's, from other development data: wrong payments, automatic share, accuracy.

`--quick` takes 40 tickets and the default models; the full run adds the same figures for `local/qwen`, suffix `_qwen`.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from examples.refunds.checks import TicketResult, Verdict, judge
from examples.refunds.models_choice import choose
from examples.refunds.shop.process import run_shop
from examples.refunds.tickets import MadeTicket, make_tickets
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from signoff.catalog import Release, load_project
from signoff.catalog.releases import point_environment, register
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.core.errors import UnavailableError
from signoff.foundation.database import DEFAULT_ORG_ID, Database, EmbeddedServer, migrate
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import RuntimeSettings, StartRequest, start_run
from signoff.runtime.client import RunSummary, list_runs
from signoff.steps import open_worker, prepare_release

PROJECT = Path(__file__).parents[1] / "examples" / "refunds"
SEED = 1
TICKETS = 200
QUICK_TICKETS = 40
LONGEST_S = 3000.0
ACTOR = Actor(DEFAULT_ORG_ID, "key", "bench", frozenset({"ticket-intake"}))


def run(*, quick: bool) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    tickets = make_tickets(SEED, QUICK_TICKETS if quick else TICKETS)
    figures = _figures(*_through("embedded", tickets), len(tickets))
    if not quick:
        of_qwen = _figures(*_through("local", tickets), len(tickets))
        figures |= {f"{name}_qwen": value for name, value in of_qwen.items()}
    table = Table("figure", "value", title=f"demo: {len(tickets)} tickets, seed {SEED}")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    return figures


def _figures(verdict: Verdict, cost_micro_usd: int, seconds: float, count: int) -> dict[str, float]:
    return {
        "wrong_payments": verdict.wrong_payments,
        "automatic_share": round(verdict.automatic_share, 3),
        "accuracy": round(verdict.accuracy, 3),
        "safe_share": round(verdict.safe / count, 3),
        "not_allowed": len(verdict.problems),
        "cost_usd": cost_micro_usd / 1e6,
        "seconds_per_ticket": round(seconds / count, 3),
    }


def _through(llm: str, tickets: Sequence[MadeTicket]) -> tuple[Verdict, int, float]:
    """Verdict, cost and seconds of all tickets, from the first start until all have ended or wait for a person."""
    choice = choose(llm)
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as directory:
        server = EmbeddedServer(Path(directory))
        url = server.start()
        try:
            migrate(url)
            with run_shop(Path(directory) / "shop") as shop:
                runs, seconds = uvloop.run(_work(url, shop.url, tickets, choice.profile))
                results = [_result(made.ticket.id, runs[made.ticket.id]) for made in tickets]
                verdict = judge(results, shop.record(), {made.ticket.id: made.expectation for made in tickets})
        finally:
            server.stop(delete=True)
    for problem in verdict.problems:
        Console().print(f"{llm}: {problem}", style="yellow", markup=False)
    for ticket, run in runs.items():
        if run.error is not None:
            Console().print(f"{llm}: {ticket} ended {run.status}: {run.error}", style="yellow", markup=False)
    return verdict, sum(run.usage.get("cost_micro_usd", 0) for run in runs.values()), seconds


async def _work(
    url: str, shop_url: str, tickets: Sequence[MadeTicket], profile: str | None
) -> tuple[dict[str, RunSummary], float]:
    clock = SystemClock()
    async with await Database.open(DatabaseSettings(url=url)) as database:
        project = load_project(PROJECT)
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            digest = await register(connection, DEFAULT_ORG_ID, project, ACTOR)
            await point_environment(connection, DEFAULT_ORG_ID, project.name, "dev", digest, actor=ACTOR)
        await prepare_release(database, DEFAULT_ORG_ID, Release(digest, project), clock=clock, models_profile=profile)
        workflow, by_run, began = project.workflows["support/refund"], dict[str, str](), time.perf_counter()
        for made in tickets:
            async with database.transaction(DEFAULT_ORG_ID) as connection:
                request = StartRequest(workflow, digest, made.ticket.run_input, ACTOR, made.ticket.id)
                started = await start_run(connection, request, now=clock.now())
            by_run[str(started.run_id)] = made.ticket.id
        variables = {"SIGNOFF_SETTING_SHOP_URL": shop_url}
        async with open_worker(
            database, clock=clock, settings=RuntimeSettings(), models_profile=profile, variables=variables
        ) as worker:
            task = asyncio.create_task(worker.run())
            runs = await _settled(database, len(tickets))
            seconds = time.perf_counter() - began
            worker.stop()
            await task
    return {by_run[str(run.run_id)]: run for run in runs}, seconds


async def _settled(database: Database, count: int) -> list[RunSummary]:
    deadline = time.perf_counter() + LONGEST_S
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("tickets", total=count)
        while True:
            try:
                async with database.transaction(DEFAULT_ORG_ID) as connection:
                    runs = await list_runs(connection, DEFAULT_ORG_ID, limit=count)
            except UnavailableError:
                # Loading the language model holds the interpreter for seconds: long enough to lose a connection.
                await asyncio.sleep(1)
                continue
            rested = sum(_rests(run) for run in runs)
            progress.update(bar, completed=rested)
            if rested == count or time.perf_counter() > deadline:
                return runs
            await asyncio.sleep(0.2)


def _rests(run: RunSummary) -> bool:
    return run.ended_at is not None or any(entry["kind"] == "review" for entry in run.waiting_for)


def _result(ticket: str, run: RunSummary) -> TicketResult:
    if run.outcome:
        return TicketResult(ticket=ticket, outcome=run.outcome)
    return TicketResult(ticket=ticket, outcome="waiting" if _rests(run) and run.ended_at is None else run.status)
