"""What packages offer lazily is there under every name, and checking a project loads no more than it needs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

LAZY = ("signoff.catalog", "signoff.runtime", "signoff.runtime.retention", "signoff.runtime.starting")


@pytest.mark.parametrize("package", LAZY)
def test_every_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018  (the look itself is what fails)


def test_checking_loads_neither_database_nor_worker_nor_http() -> None:
    code = "import sys, signoff.cli.main, signoff.catalog.projects; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    heavy = {"asyncpg", "fastapi", "httpx", "pydantic_settings", "ruamel.yaml", "signoff.runtime.worker"}
    assert heavy.isdisjoint(done.stdout.split())
