"""`python -m benchmarks NAME [--quick]`."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
from typing import Any

NAMES = (
    "runtime",
    "parked",
    "recovery",
    "timers",
    "growth",
    "demo",
    "authoring",
    "confidence",
    "privacy",
    "injection",
    "kinds",
    "gateway",
    "faults",
)


def _end(*_: object) -> None:
    """Leave in order, so that servers and workers are ended on the way out."""
    sys.exit(143)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that it runs, not for the record")
    parser.add_argument("--runs", type=int, help="of `parked`: how many runs wait (100,000 by default)")
    parser.add_argument("--requests", type=int, help="of `gateway`: over how many memory is watched (100,000)")
    parser.add_argument("--only", help="of `gateway`: these loads alone, such as `1_paced,16_paced`")
    parser.add_argument("--no-peers", action="store_true", help="of `runtime`, `privacy`, `gateway`: Signoff alone")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    module = importlib.import_module(f"benchmarks.{arguments.name}")
    more: dict[str, Any] = {}
    if arguments.name == "parked" and arguments.runs:
        more["runs"] = arguments.runs
    if arguments.name == "gateway" and arguments.requests:
        more["requests"] = arguments.requests
    if arguments.name == "gateway" and arguments.only:
        more["only"] = arguments.only.split(",")
    if arguments.name in ("runtime", "privacy", "gateway"):
        more["beside"] = not arguments.no_peers
    figures = module.run(quick=arguments.quick, **more)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
