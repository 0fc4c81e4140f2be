"""What packages offer lazily is there under every name, and checking a project loads no more than it needs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from support.docs_pages import CHECKOUT

LAZY = (
    "signoff.capabilities.gateway",
    "signoff.catalog",
    "signoff.runtime",
    "signoff.runtime.retention",
    "signoff.runtime.starting",
)


@pytest.mark.parametrize("package", LAZY)
def test_every_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018  (the look itself is what fails)


def test_checking_loads_neither_database_nor_worker_nor_http() -> None:
    check = "import sys; sys.argv = ['signoff', 'check', 'examples/refunds']; from signoff.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", f"{check}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=CHECKOUT,
    )
    assert "is sound" in done.stdout
    heavy = {"asyncpg", "fastapi", "httpx", "pydantic", "ruamel.yaml", "signoff.runtime.worker", "typer"}
    assert heavy.isdisjoint(done.stdout.split())
