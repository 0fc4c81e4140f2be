"""The limits of the rooms that workers and gateways are made of, from variables: `SIGNOFF_ENGINE__LEASE_S`.

Each room defines its own; here a deployment sets them. What is about a process as a whole: `foundation/settings.py`.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from signoff.capabilities.gateway.caching import CacheSettings
from signoff.capabilities.gateway.limits import LimitSettings
from signoff.capabilities.gateway.records import RecordSettings
from signoff.capabilities.gateway.resilience.settings import ResilienceSettings
from signoff.capabilities.tools import ToolSettings
from signoff.governance.privacy.sealing import VaultSettings
from signoff.runtime import RuntimeSettings
from signoff.runtime.breakers import BreakerSettings
from signoff.runtime.retention import RetentionSettings

HEARTBEATS_PER_LEASE = 3
"""So many must be missed before a worker is declared dead by its lease: one late heartbeat is no death."""


class RoomSettings(BaseSettings):
    """Each room's limits. Frozen: read once at the start. All processes of a deployment should have the same."""

    model_config = SettingsConfigDict(env_prefix="SIGNOFF_", env_nested_delimiter="__", frozen=True, extra="ignore")

    engine: RuntimeSettings = Field(default_factory=RuntimeSettings, description="Runs and their worker.")
    breakers: BreakerSettings = Field(default_factory=BreakerSettings, description="Circuit breakers.")
    retention: RetentionSettings = Field(default_factory=RetentionSettings, description="Archives and what is dropped.")
    tools: ToolSettings = Field(default_factory=ToolSettings, description="Calls of tools.")
    resilience: ResilienceSettings = Field(
        default_factory=ResilienceSettings, description="How long models are waited for, and tried again."
    )
    limits: LimitSettings = Field(default_factory=LimitSettings, description="Limits and budgets of calls to models.")
    records: RecordSettings = Field(default_factory=RecordSettings, description="Records of calls to models.")
    vault: VaultSettings = Field(default_factory=VaultSettings, description="How runs' vaults are encrypted.")
    cache: CacheSettings = Field(default_factory=CacheSettings, description="Kept answers of models.")

    @model_validator(mode="after")
    def _a_lease_outlasts_heartbeats(self) -> Self:
        if self.engine.heartbeat_s * HEARTBEATS_PER_LEASE > self.engine.lease_s:
            raise ValueError("SIGNOFF_ENGINE__HEARTBEAT_S may be a third of SIGNOFF_ENGINE__LEASE_S at most")
        return self

    @model_validator(mode="after")
    def _one_name_for_the_time_to_drain(self) -> Self:
        if "drain_s" in self.engine.model_fields_set:
            raise ValueError("SIGNOFF_ENGINE__DRAIN_S is set as SIGNOFF_WORKER__SHUTDOWN_TIMEOUT_S")
        return self


def default_rooms() -> RoomSettings:
    """The defaults, whatever the environment says."""
    return RoomSettings.model_construct()
