"""How each peer is started, counted and killed. `Peer` is what `measure.py` drives."""

from __future__ import annotations

import abc
import contextlib
import json
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.machine import Child, Server
from benchmarks.peers.environments import PeerUnavailableError, environment, python_of

SCRIPTS = Path(__file__).parent
READY_TIMEOUT_S = 60.0
PYTHON_LOGS = Path(tempfile.gettempdir())


class Peer(abc.ABC):
    """One engine with its processes.

    Attributes:
        name: as in the keys of the figures.
        drivers: the processes that take commands and run workflows (of Restate: its client).
    """

    name: str
    settings: str

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.drivers: list[Child] = []

    @abc.abstractmethod
    def start(self) -> None:
        """Start everything."""

    @abc.abstractmethod
    def pids(self) -> Mapping[str, Sequence[int]]:
        """Whose CPU counts."""

    @abc.abstractmethod
    def kill_and_count(self) -> int:
        """Kill the server that holds the journal, start it again, and count the runs that are done."""

    def stop(self) -> None:
        """End the processes."""
        for driver in self.drivers:
            driver.kill()
        self.drivers = []

    def steps(self) -> int | None:
        """Steps executed so far, where other processes than the drivers execute them."""
        return None


class OnPostgres(Peer):
    """A peer that is a library over PostgreSQL."""

    connections: int
    done: str

    def __init__(self, processes: int, server: Server) -> None:
        super().__init__(processes)
        self.server = server
        self.database = f"{self.name}_{processes}"
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{self.database}"'.encode())
        self.url = server.url.replace("/postgres?", f"/{self.database}?")

    def start(self) -> None:
        python = python_of(environment(self.name))
        for number in range(self.processes):
            arguments = [str(python), str(SCRIPTS / f"{self.name}_peer.py"), self.url, str(number)]
            log = PYTHON_LOGS / f"signoff-bench-{self.name}.log"
            driver = Child([*arguments, str(self.connections // self.processes)], log=log)
            self.drivers.append(driver)
            driver.hear()

    def pids(self) -> Mapping[str, Sequence[int]]:
        return {"engine": [driver.pid for driver in self.drivers], "postgresql": [self.server.pid]}

    def kill_and_count(self) -> int:
        self.stop()
        self.server.kill()
        with psycopg.connect(self.url) as connection:
            row = connection.execute(self.done.encode()).fetchone()
        assert row is not None
        return row[0]


class Dbos(OnPostgres):
    """DBOS: its own defaults but for a pool of connections as large as helped."""

    name = "dbos"
    connections = 40
    done = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"
    settings = "async workflows on uvloop, sys_db_pool_size 40 over all processes"


class Langgraph(OnPostgres):
    """LangGraph with AsyncPostgresSaver. A thread's name says which step its last checkpoint has."""

    name = "langgraph"
    connections = 20
    done = """
    SELECT count(*) FROM (
        SELECT thread_id FROM checkpoints GROUP BY thread_id
        HAVING max((metadata->>'step')::int) >= split_part(thread_id, '-', 1)::int
    ) AS ended
    """
    settings = "AsyncPostgresSaver, pool of 20 over all processes, durability async (its default)"


class Prefect(OnPostgres):
    """Prefect: its server over the same PostgreSQL, flows in processes of ours."""

    name = "prefect"
    connections = 40
    done = "SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'"
    settings = "its own server process over PostgreSQL, flows in one process"

    def __init__(self, processes: int, server: Server) -> None:
        """Make its database.

        Raises:
            PeerUnavailableError: its first migration creates `pg_trgm`, which this server does not carry: the embedded
                one has no contrib modules, and a peer on another server, or on SQLite, would compare nothing.
        """
        with psycopg.connect(server.url) as connection:
            if connection.execute("SELECT FROM pg_available_extensions WHERE name = 'pg_trgm'").fetchone() is None:
                raise PeerUnavailableError(
                    "its server needs the PostgreSQL extension pg_trgm, which the server of these benchmarks does not"
                    " carry"
                )
        super().__init__(processes, server)


class Restate(Peer):
    """Restate: its server, one process of its Python SDK, and a client over HTTP. fsync of its log is on by default."""

    name = "restate"
    settings = "one node, replication 1, its defaults (fsync of the log on); SDK under hypercorn over HTTP/2"
    ingress, admin, fabric, service = 18080, 19070, 15122, 19080

    def __init__(self, processes: int) -> None:
        super().__init__(processes)
        self.directory = Path(tempfile.mkdtemp(prefix="signoff-bench-restate-"))
        self.home = environment(self.name)
        self.services: list[Child] = []
        self.server: Child | None = None

    def start(self) -> None:
        self._start_server()
        python = str(python_of(self.home))
        for number in range(self.processes):
            port = str(self.service + number)
            self.services.append(Child([python, str(SCRIPTS / "restate_peer.py"), port], log=self._log("service")))
            self.services[-1].hear()
        self._register()
        ingress = f"http://127.0.0.1:{self.ingress}"
        self.drivers.append(Child([python, str(SCRIPTS / "restate_load.py"), ingress], log=self._log("client")))
        self.drivers[-1].hear()

    def _start_server(self) -> None:
        found = sorted(self.home.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
        if not found:
            raise PeerUnavailableError("the npm package carries no server for this machine")
        here = "127.0.0.1"
        variables = {
            "RESTATE_BASE_DIR": str(self.directory),
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_IP": here,
            "RESTATE_BIND_PORT": str(self.fabric),
            "RESTATE_INGRESS__BIND_ADDRESS": f"{here}:{self.ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"{here}:{self.admin}",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LOG_FILTER": "error",
        }
        self.server = Child([str(found[0]), "--no-logo"], environment=variables, log=self._log("server"))
        _wait_for(f"http://127.0.0.1:{self.admin}/health")
        _wait_for(f"http://127.0.0.1:{self.ingress}/restate/health")

    def _register(self) -> None:
        """One deployment; with several processes the last one's port wins, so one process serves here."""
        uri = f"http://127.0.0.1:{self.service}"
        _ask(f"http://127.0.0.1:{self.admin}/deployments", {"uri": uri})

    def pids(self) -> Mapping[str, Sequence[int]]:
        assert self.server is not None
        engine = [self.server.pid, *(service.pid for service in self.services)]
        return {"engine": engine, "client": [driver.pid for driver in self.drivers]}

    def steps(self) -> int:
        total = 0
        for service in self.services:
            service.tell("")
            total += service.hear()["steps"]
        return total

    def kill_and_count(self) -> int:
        assert self.server is not None
        self.server.kill()
        self._start_server()
        query = {"query": "SELECT count(*) AS n FROM sys_invocation WHERE completion_result = 'success'"}
        until_s = time.monotonic() + READY_TIMEOUT_S
        while True:
            with contextlib.suppress(urllib.error.HTTPError):  # its partitions come up after its ports
                return _ask(f"http://127.0.0.1:{self.admin}/query", query)["rows"][0]["n"]
            if time.monotonic() > until_s:
                raise PeerUnavailableError("after it was killed it answered no query")
            time.sleep(0.5)

    def stop(self) -> None:
        super().stop()
        for child in [*self.services, *([] if self.server is None else [self.server])]:
            child.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _log(self, what: str) -> Path:
        return PYTHON_LOGS / f"signoff-bench-restate-{what}.log"


def _wait_for(url: str) -> None:
    until_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise PeerUnavailableError(f"{url} was not ready within {READY_TIMEOUT_S:g} s")


def _ask(url: str, body: Mapping[str, Any]) -> Any:
    headers = {"content-type": "application/json", "accept": "application/json"}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())
