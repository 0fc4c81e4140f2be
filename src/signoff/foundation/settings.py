"""Settings of the house itself, from environment variables `SIGNOFF_…` (nested ones by `__`: `SIGNOFF_DATABASE__URL`).

Rooms with limits of their own define a model of theirs and take it as a constructor argument.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(_Frozen):
    """How Signoff reaches PostgreSQL, and how long it waits for it."""

    url: str | None = Field(
        default=None,
        repr=False,
        description="postgresql://user:password@host:port/name. None starts an embedded server in the state directory.",
    )
    listen_url: str | None = Field(
        default=None,
        repr=False,
        description="Where to LISTEN, if `url` is a pooler; `none` to look each second instead. As `url` if not set.",
    )
    app_pool_size: int = Field(default=10, ge=1, le=500, description="Most connections of the API's pool, per process.")
    worker_pool_size: int = Field(
        default=10, ge=1, le=500, description="Most connections of the worker's pool, per process."
    )
    connect_timeout_s: float = Field(
        default=10.0,
        gt=0,
        description="Seconds that one attempt to connect, or the wait for a free connection, may take.",
    )
    recovery_wait_s: float = Field(
        default=5.0,
        ge=0,
        description="Seconds that a new transaction waits for a server that restarts before it fails as unavailable.",
    )
    statement_timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds that one statement may run before the server cancels it."
    )
    lock_timeout_s: float = Field(
        default=10.0, gt=0, description="Seconds that a statement may wait for a lock before the server fails it."
    )
    idle_in_transaction_timeout_s: float = Field(
        default=5.0,
        gt=0,
        description="Seconds that a transaction may sit idle before the server ends its session. Keep below the lease.",
    )
    idle_connection_lifetime_s: float = Field(
        default=300.0, ge=0, description="Seconds after which an unused connection is closed; 0 keeps it."
    )
    listen_check_interval_s: float = Field(
        default=15.0, gt=0, description="Seconds between checks that a listening connection is still alive."
    )
    migration_timeout_s: float = Field(
        default=600.0, gt=0, description="Seconds that a start waits for another process that is migrating."
    )
    embedded_start_timeout_s: float = Field(
        default=300.0,
        gt=0,
        description="Seconds the embedded server may take to start; recovery after a crash can be long.",
    )
    embedded_max_connections: int = Field(
        default=100, ge=10, le=5000, description="Most connections that the embedded server accepts."
    )


class ApiSettings(_Frozen):
    """Where the API listens."""

    host: str = Field(
        default="127.0.0.1", description="The address to listen on; the default is reachable only from here."
    )
    port: int = Field(default=8080, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    max_body_bytes: int = Field(default=1_048_576, ge=1024, description="Most bytes that a request's body may have.")
    max_project_bytes: int = Field(
        default=48_000_000,
        ge=1024,
        description="Most bytes of a body that carries a project's files, to release or plan it; Base64 adds a third.",
    )
    max_chat_bytes: int = Field(
        default=33_554_432, ge=1024, description="Most bytes of a request to a model: pictures and files come in it."
    )
    max_chat_messages: int = Field(default=2048, ge=1, description="Most messages, or parts of one, of a request.")
    max_chat_tools: int = Field(default=128, ge=1, description="Most tools of a request to a model.")
    max_embedding_inputs: int = Field(default=2048, ge=1, description="Most texts of one request for embeddings.")
    max_chat_s: float = Field(
        default=600.0, gt=0, description="Seconds that a request to a model may take, its tries and fallbacks included."
    )
    key_fresh_s: float = Field(
        default=2.0,
        ge=0,
        description="Seconds that a key opens models without being looked up again; 0 looks each time.",
    )
    max_wait_s: float = Field(default=60.0, gt=0, description="Seconds that a request may wait for a run's end.")
    rehearsal_s: float = Field(
        default=15.0,
        gt=0,
        description="Seconds that a move of a run in Python waits for a worker to run the code over its journal.",
    )
    max_waiters: int = Field(default=1000, ge=1, description="Requests that may wait for runs' ends at once.")
    max_queued_runs: int = Field(
        default=200_000,
        ge=1,
        description="Most runs of one organisation that may wait for a worker or a slot; further starts are refused.",
    )


class WorkerSettings(_Frozen):
    """How a worker process is run; the engine's own limits are in its room."""

    shutdown_timeout_s: float = Field(
        default=20.0,
        gt=0,
        description="Seconds that a stopping worker waits for steps under way before it leaves them.",
    )


class LoggingSettings(_Frozen):
    """What goes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least level written.")
    format: Literal["plain", "json"] = Field(
        default="plain", description="plain for people, json (one object per line) for collectors."
    )


class TelemetrySettings(_Frozen):
    """Where OpenTelemetry's collector is."""

    otlp_endpoint: str | None = Field(
        default=None,
        description="URL of an OTLP collector, such as http://host:4318; none exports nothing. Needs signoff[otel].",
    )
    service_name: str = Field(default="signoff", description="What spans and measurements are of.")


class Settings(BaseSettings):
    """All settings of a process. Frozen: read once at the start."""

    model_config = SettingsConfigDict(env_prefix="SIGNOFF_", env_nested_delimiter="__", frozen=True, extra="ignore")

    project: Path = Field(default_factory=Path.cwd, description="The project directory; the current one by default.")
    state_directory: Path | None = Field(
        default=None, description="Where the embedded server and caches live; <project>/.signoff by default."
    )
    archives_directory: Path | None = Field(
        default=None,
        description="What archives of finished runs are below, whatever projects say; <state directory>/archives.",
    )
    database: DatabaseSettings = Field(default_factory=DatabaseSettings, description="PostgreSQL.")
    api: ApiSettings = Field(default_factory=ApiSettings, description="The API server.")
    worker: WorkerSettings = Field(default_factory=WorkerSettings, description="The worker process.")
    logging: LoggingSettings = Field(default_factory=LoggingSettings, description="Logs.")
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings, description="Spans and measurements.")

    @property
    def state_path(self) -> Path:
        """The state directory, with its default filled in."""
        return self.state_directory or self.project / ".signoff"

    @property
    def archives_path(self) -> Path:
        """The directory of archives, with its default filled in."""
        return self.archives_directory or self.state_path / "archives"
