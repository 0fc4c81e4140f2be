"""`make demo`: 24 real customers' messages through the governed refund workflow, on this machine.

It starts PostgreSQL (embedded), the example's shop, the API and a worker, each a process of its own; feeds the tickets
through the API; kills the worker with SIGKILL in mid-work and starts another; lets a person decide one review through
the CLI; and holds the outcome against `expectations.yaml` and the shop's own record of requests.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import httpx
import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from examples.refunds import demo_report as report
from examples.refunds.checks import TicketResult, judge
from examples.refunds.expectations import load_expectations
from examples.refunds.models_choice import SIGNOFF, Choice, choose
from examples.refunds.shop.process import RunningShop, run_shop
from examples.refunds.tickets import Ticket, load_tickets
from signoff.catalog import load_project
from signoff.cli.deploying import keep_snapshot
from signoff.cli.operators import OPERATOR
from signoff.cli.workspace import AlreadyRunningError, DevState, only_dev, write_dev
from signoff.core.clock import SystemClock
from signoff.core.errors import SignoffError
from signoff.foundation.database import DEFAULT_ORG_ID, Database, EmbeddedServer, migrate
from signoff.foundation.settings import DatabaseSettings
from signoff.governance.identity import create_key

PROJECT = Path(__file__).parent
STATE = PROJECT / ".signoff"
SETTLE_TIMEOUT_S = 150.0
SLOW_SETTLE_TIMEOUT_S = 1200.0  # a language model on two cores takes seconds for every call
POLL_S = 0.1
PLAIN_WIDTH = 150  # columns where the output goes to a file or a log


@dataclass(frozen=True)
class Stage:
    """What is running, and how to reach it.

    Attributes:
        environment: variables of the processes: database, shop, models.
        settle_timeout_s: how long all tickets together may take.
        intake: a client with the ticket system's key.
        lead: a client with the key of ana, who is a support lead.
    """

    directory: Path
    environment: Mapping[str, str]
    shop: RunningShop
    settle_timeout_s: float = SETTLE_TIMEOUT_S
    url: str = ""
    intake: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)
    lead: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--llm", default="auto", help="auto, embedded, local, openai, anthropic or compatible")
    arguments = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    try:
        with only_dev(STATE):
            return _demo(console, choose(arguments.llm))
    except AlreadyRunningError as error:
        console.print(f"A demo, or `signoff dev`, runs for examples/refunds already. {error.detail}", style="red")
    except SignoffError as error:
        console.print(str(error), style="red", markup=False)
    except KeyboardInterrupt:
        console.print("Stopped.")
    return 1


def _demo(console: Console, choice: Choice) -> int:
    directory = STATE / "demo"
    shutil.rmtree(directory, ignore_errors=True)  # a demo begins with an empty database and an untouched shop
    server = EmbeddedServer(directory)
    report.opening(console, choice)
    began = time.perf_counter()
    try:
        url = server.start()
        migrate(url)
        with ExitStack() as stack:
            shop = stack.enter_context(run_shop(directory / "shop"))
            environment = {
                **os.environ,
                "SIGNOFF_DATABASE__URL": url,
                "SIGNOFF_SETTING_SHOP_URL": shop.url,
                "SIGNOFF_MODELS_PROFILE": choice.profile or "",
            }
            keys = asyncio.run(_prepared(url, choice))
            api = stack.enter_context(_process(directory, "serve", environment, "--port", "0"))
            write_dev(STATE, DevState(url=api["url"], pid=api["pid"], key=keys["ana"], keys=keys))
            stack.callback(write_dev, STATE, DevState())
            console.print(
                f"Ready after {time.perf_counter() - began:.1f} s: PostgreSQL, shop {shop.url}, API {api['url']}.\n"
            )
            limit_s = SLOW_SETTLE_TIMEOUT_S if choice.profile else SETTLE_TIMEOUT_S
            stage = Stage(directory, environment, shop, limit_s)
            return asyncio.run(_with_clients(console, api["url"], keys, stage))
    finally:
        server.stop(delete=True)  # for root the data may lie elsewhere, behind a link: who made it removes it


async def _with_clients(console: Console, url: str, keys: Mapping[str, str], stage: Stage) -> int:
    async with _client(url, keys["intake"]) as intake, _client(url, keys["ana"]) as lead:
        return await _run(console, replace(stage, url=url, intake=intake, lead=lead))


async def _run(console: Console, stage: Stage) -> int:
    tickets, expectations = load_tickets(), load_expectations()
    began = time.perf_counter()
    runs, crash, worker = await _feed(console, stage, tickets)
    with worker:
        details = await _details(stage, runs)
        seconds = time.perf_counter() - began
        report.outcomes(console, tickets, details, seconds)
        report.injections(console, tickets, details, expectations)
        report.crash(console, crash, stage.shop)
        decided = await _decide_one(console, stage, tickets, details)
        verdict = judge(await _results(stage, tickets, runs, decided), stage.shop.record(), expectations)
        report.verdict(console, verdict)
        serving = sys.stdout.isatty() and os.environ.get("CI") != "true"
        report.next_commands(console, stage.url, details, serving=serving)
        if serving:
            console.print("\nStill serving. Ctrl-C stops.", style="bold")
            await _until_interrupted()
    return 1 if verdict.problems else 0


async def _prepared(url: str, choice: Choice) -> dict[str, str]:
    """Deploy the project and make keys for the ticket system and for ana."""
    clock = SystemClock()
    async with await Database.open(DatabaseSettings(url=url)) as database:
        await keep_snapshot(
            database, load_project(PROJECT), environment="dev", clock=clock, models_profile=choice.profile
        )
        keys: dict[str, str] = {}
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            people: tuple[tuple[str, Literal["key", "user"], set[str]], ...] = (
                ("intake", "key", {"ticket-intake"}),
                ("ana", "user", {"support-lead"}),
            )
            for name, kind, roles in people:
                _, keys[name] = await create_key(
                    connection, DEFAULT_ORG_ID, name, roles, created_by=OPERATOR, now=clock.now(), kind=kind
                )
    return keys


@contextmanager
def _process(directory: Path, command: str, environment: Mapping[str, str], *more: str) -> Generator[dict[str, Any]]:
    """A `signoff` process for the block; gives its ready line. Its log is in the demo's directory."""
    with (
        (directory / f"{command}.log").open("ab") as log,
        subprocess.Popen(
            [SIGNOFF, command, "-C", str(PROJECT), "--json", *more],
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=log,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                text = (directory / f"{command}.log").read_text("utf-8", "replace")
                raise SignoffError(f"`signoff {command}` did not start:\n{text[-2000:]}")
            yield {**orjson.loads(line), "pid": process.pid}
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _client(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)


# --- feeding -------------------------------------------------------------------------------------------------------


async def _feed(
    console: Console, stage: Stage, tickets: Sequence[Ticket]
) -> tuple[dict[str, str], report.Crash, ExitStack]:
    """Start a run per ticket, kill the worker on the way, and wait until each has ended or waits for a person."""
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn(),
        console=console,
    )  # fmt: skip
    worker = ExitStack()
    with progress:
        bar = progress.add_task("tickets", total=len(tickets))
        first = worker.enter_context(_process(stage.directory, "worker", stage.environment))
        runs: dict[str, str] = {}
        for ticket in tickets:
            runs[ticket.id] = await _start(stage, ticket)
        await _first_payment(stage, runs)
        os.kill(first["pid"], signal.SIGKILL)
        crash = report.Crash(first["pid"], in_flight=len(runs) - await _settled(stage, runs))
        progress.update(bar, description=f"worker {first['pid']} killed with SIGKILL")
        await asyncio.sleep(1.0)
        crash.paid = frozenset(payment.order for payment in report.payments(stage.shop))
        second = worker.enter_context(_process(stage.directory, "worker", stage.environment))
        crash.second_pid = second["pid"]
        progress.update(bar, description=f"worker {second['pid']} took over")
        deadline = time.perf_counter() + stage.settle_timeout_s
        while (settled := await _settled(stage, runs)) < len(runs) and time.perf_counter() < deadline:
            progress.update(bar, completed=settled)
            await asyncio.sleep(POLL_S)
        progress.update(bar, completed=settled, description="tickets")
    return runs, crash, worker


async def _first_payment(stage: Stage, runs: Mapping[str, str]) -> None:
    """Until the shop has paid something, or nothing is left that could: the moment to kill the worker."""
    deadline = time.perf_counter() + stage.settle_timeout_s
    while not report.payments(stage.shop) and time.perf_counter() < deadline:
        for _ in range(100):
            await asyncio.sleep(0.002)  # the shop is another process: its record is all there is to watch
            if report.payments(stage.shop):
                return
        if await _settled(stage, runs) == len(runs):
            return


async def _start(stage: Stage, ticket: Ticket) -> str:
    response = await stage.intake.post(
        "/v1/runs",
        json={"workflow": "support/refund", "input": ticket.run_input},
        headers={"Idempotency-Key": f"ticket/{ticket.id}"},
    )
    if response.is_error:
        raise SignoffError(f"{ticket.id} was not started: {response.text}")
    return str(response.json()["run_id"])


async def _settled(stage: Stage, runs: Mapping[str, str]) -> int:
    response = await stage.lead.get("/v1/runs", params={"limit": len(runs)})
    return sum(report.is_settled(run) for run in response.raise_for_status().json()["items"])


async def _details(stage: Stage, runs: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for ticket, run_id in runs.items():
        run = (await stage.lead.get(f"/v1/runs/{run_id}")).raise_for_status().json()
        journal = await stage.lead.get(f"/v1/runs/{run_id}/journal", params={"limit": 1000})
        found[ticket] = {**run, "journal": journal.raise_for_status().json()["items"]}
    return found


# --- a person ------------------------------------------------------------------------------------------------------


async def _decide_one(
    console: Console, stage: Stage, tickets: Sequence[Ticket], details: Mapping[str, dict[str, Any]]
) -> str | None:
    """Approve the first waiting ticket whose amount is right, through the CLI, as ana would."""
    expectations = load_expectations()
    for ticket in tickets:
        run, expectation = details[ticket.id], expectations[ticket.id]
        if run["status"] != "waiting" or not expectation.reviewed_max_cents or expectation.kind != "high_amount":
            continue
        reviews = (await stage.lead.get("/v1/reviews", params={"status": "open"})).raise_for_status().json()["items"]
        review = next((item for item in reviews if item["run_id"] == run["run_id"]), None)
        if review is None:
            continue
        report.heading(console, f"A person decides {ticket.id} through the CLI")
        _cli(console, stage, "reviews", "show", review["review_id"])
        _cli(console, stage, "reviews", "approve", review["review_id"], "--reason", "Amount and order match.")
        for _ in range(300):
            now = (await stage.lead.get(f"/v1/runs/{run['run_id']}")).raise_for_status().json()
            if now["ended_at"]:
                break
            await asyncio.sleep(POLL_S)
        _cli(console, stage, "runs", "show", run["run_id"])
        return ticket.id
    return None


def _cli(console: Console, stage: Stage, *arguments: str) -> None:
    shown = " ".join(f'"{part}"' if " " in part else part for part in arguments)
    console.print(f"$ signoff {shown} -C examples/refunds", style="bold", markup=False, highlight=False)
    done = subprocess.run(
        [SIGNOFF, *arguments, "-C", str(PROJECT)],
        env=dict(stage.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    console.print((done.stdout + done.stderr).rstrip(), markup=False, highlight=False)
    console.print()


async def _results(
    stage: Stage, tickets: Sequence[Ticket], runs: Mapping[str, str], decided: str | None
) -> list[TicketResult]:
    details = await _details(stage, runs)
    return [
        TicketResult(
            ticket=ticket.id,
            outcome=report.outcome_of(details[ticket.id]),
            decided_by="user/ana" if ticket.id == decided else None,
        )
        for ticket in tickets
    ]


async def _until_interrupted() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


if __name__ == "__main__":
    sys.exit(main())
