"""What `gateway` measures: the stub itself, `signoff serve`, and the LiteLLM proxy, each with its processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import httpx
import psutil

from benchmarks.machine import CHECKOUT, Server
from benchmarks.peers.environments import environment
from signoff.catalog import load_project_files, point_environment, register
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.foundation.settings import DatabaseSettings
from signoff.governance.identity import create_key

READY_S = 180.0
LITELLM_KEY = "sk-benchmark-0123456789"
GENERATE_S = 120
POLICY = """
@id("programs-use-the-gateway")
permit (principal in Role::"program", action == Action::"gateway.use", resource)
when { context.data_class <= 1 };

@id("redacted-for-vendors")
@redact("contact, financial, ids, secrets")
permit (principal, action == Action::"model.call", resource)
when { context.data_class <= 1 && !context.local };

@id("no-regulated-data")
forbid (principal, action == Action::"model.call", resource)
when { context.data_class == 3 };
"""


class Side:
    """One way to the stub.

    Attributes:
        name: as in the tables.
        port, path, key: what is asked.
        model, paced_model: before the stub that answers at once, and before the one that takes a model's time.
        note: how it is set up.
    """

    name: str
    path = "/v1/chat/completions"
    key = "none"
    model = "stub"
    paced_model = "paced"
    note = ""
    port = 0
    paced_port: int | None = None
    """Where the paced model is asked; none where it is the same port."""

    def pids(self) -> Mapping[str, Sequence[int]]:
        """Whose CPU counts, children included."""
        return {}

    def server_pid(self) -> int | None:
        """The process that answers."""
        return None

    def stop(self) -> None:
        """End what was started; nothing where nothing was."""
        return


class Direct(Side):
    """The stub itself."""

    name = "direct"

    def __init__(self, port: int, paced_port: int) -> None:
        self.port, self.paced_port = port, paced_port


class _Started(Side):
    """A side with a server of its own."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.log = tempfile.NamedTemporaryFile(prefix=f"signoff-bench-{self.name}-", suffix=".log")  # noqa: SIM115

    def _start(self, command: list[str], more: Mapping[str, str], url: str, core: int | None) -> None:
        self.process = subprocess.Popen(
            command, cwd=CHECKOUT, env={**os.environ, **more}, stdout=self.log, stderr=subprocess.STDOUT
        )
        if core is not None:
            psutil.Process(self.process.pid).cpu_affinity([core])
        deadline_s = time.monotonic() + READY_S
        while time.monotonic() < deadline_s:
            try:
                if httpx.get(url, trust_env=False, timeout=2).status_code == HTTPStatus.OK:
                    return
            except httpx.HTTPError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        tail = Path(self.log.name).read_text("utf-8", "replace")[-1500:]
        self.stop()
        raise RuntimeError(f"{self.name} did not start: {tail}")

    def server_pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Signoff(_Started):
    """`signoff serve`, with policy, redaction of what patterns find, a quota, a budget and records on."""

    name = "signoff"
    note = "policy, redaction (contact, financial, ids, secrets), quota and budget, records; PostgreSQL included"

    def __init__(self, server: Server, upstream: Mapping[str, int], *, core: int | None) -> None:
        super().__init__()
        self._postgres = server
        self.port = free_port()
        self.key = asyncio.run(_deployed(server.url, upstream))
        command = [str(Path(sys.executable).parent / "signoff"), "serve", "--port", str(self.port)]
        settings = {"SIGNOFF_DATABASE__URL": server.url, "STUB_KEY": "sk-stub", "SIGNOFF_LOGGING__LEVEL": "warning"}
        self._start(command, settings, f"http://127.0.0.1:{self.port}/health/ready", core)

    def pids(self) -> Mapping[str, Sequence[int]]:
        assert self.process is not None
        return {"server": [self.process.pid], "postgresql": [self._postgres.pid]}


class Litellm(_Started):
    """The proxy as its documentation starts it, one worker; its database where its client can be made here."""

    name = "litellm"
    key = LITELLM_KEY

    def __init__(self, server: Server, upstream: Mapping[str, int], *, core: int | None) -> None:
        super().__init__()
        self._postgres = server
        binaries = environment("litellm") / "bin"
        self._directory = tempfile.TemporaryDirectory(prefix="signoff-bench-litellm-")
        self.database = _database_client(binaries)
        self.port = free_port()
        config = Path(self._directory.name) / "config.yaml"
        price = {"input_cost_per_token": 1e-7, "output_cost_per_token": 4e-7}
        models = [
            {
                "model_name": name,
                "litellm_params": {
                    "model": f"openai/{name}",
                    "api_base": f"http://127.0.0.1:{port}/v1",
                    "api_key": "sk-stub",
                    **price,
                },
            }
            for name, port in upstream.items()
        ]
        general = {"master_key": LITELLM_KEY}
        if self.database:
            general["database_url"] = server.url
        # JSON is YAML.
        config.write_text(
            json.dumps(
                {
                    "model_list": models,
                    "general_settings": general,
                    "litellm_settings": {"telemetry": False, "max_budget": 1000, "budget_duration": "30d"},
                }
            ),
            encoding="utf-8",
        )
        self.note = "with its database, budget and spend tracking" if self.database else "without its database"
        command = [str(binaries / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(self.port)]
        more = {
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "PATH": f"{binaries}:{os.environ['PATH']}",
        }
        self._start([*command, "--num_workers", "1"], more, f"http://127.0.0.1:{self.port}/health/liveliness", core)

    def pids(self) -> Mapping[str, Sequence[int]]:
        assert self.process is not None
        found: dict[str, Sequence[int]] = {"server": [self.process.pid]}
        if self.database:
            found["postgresql"] = [self._postgres.pid]
        return found

    def stop(self) -> None:
        super().stop()
        self._directory.cleanup()


def _database_client(binaries: Path) -> bool:
    """Make the client of LiteLLM's database, which fetches an engine from its makers' own server."""
    schema = next(binaries.parent.glob("lib/python*/site-packages/litellm/proxy/schema.prisma"), None)
    if schema is None:
        return False
    try:
        done = subprocess.run(
            [str(binaries / "prisma"), "generate", "--schema", str(schema)],
            env={**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"},
            capture_output=True,
            timeout=GENERATE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


async def _deployed(url: str, upstream: Mapping[str, int]) -> str:
    """The project of the benchmark, current in `dev`, and a key for it."""
    models = {
        name: {
            "provider": "openai_compatible",
            "base_url": f"http://127.0.0.1:{port}/v1",
            "api_key": "${env.STUB_KEY}",
            "model": name,
            "price": {"input_usd": 0.1, "output_usd": 0.4},
        }
        for name, port in upstream.items()
    }
    limits = [
        {"of": "project", "cost_usd": 1_000_000, "every": "month"},
        {"of": "key", "requests": 100_000_000, "every": "1h"},
    ]
    files = {
        "signoff.yaml": "project: bench\nroles: {program: Calls models.}\n",
        "models.yaml": json.dumps({"models": models, "routes": [], "limits": limits}),
        "policies/bench.cedar": POLICY,
    }
    actor, project = (
        Actor(DEFAULT_ORG_ID, "system", "benchmark"),
        load_project_files({name: text.encode() for name, text in files.items()}),
    )
    async with (
        await Database.open(DatabaseSettings(url=url)) as database,
        database.transaction(DEFAULT_ORG_ID) as connection,
    ):
        digest = await register(connection, DEFAULT_ORG_ID, project, actor)
        await point_environment(connection, DEFAULT_ORG_ID, project.name, "dev", digest, actor=actor)
        now = SystemClock().now()
        _, key = await create_key(connection, DEFAULT_ORG_ID, "program", ["program"], created_by=actor, now=now)
    return key


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
