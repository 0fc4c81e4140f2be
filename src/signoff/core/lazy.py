"""Packages that offer names without loading all that is behind them, until one is asked for (PEP 562).

`signoff check` reads what queues and schedules are from `signoff.runtime`, and needs neither a database's driver nor a
worker for that: they would be half of the time that the command takes to begin.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def offered(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """What a package has as its `__getattr__`.

    Args:
        package: its `__name__`.
        modules: by name that it offers, the module that has it.
    """

    def find(name: str) -> Any:
        module = modules.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        found = getattr(importlib.import_module(module), name)
        # As an import would leave it: the next look finds it without asking here.
        setattr(sys.modules[package], name, found)
        return found

    return find
