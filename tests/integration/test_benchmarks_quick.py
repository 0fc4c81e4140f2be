"""Each benchmark runs to its end in the small, and names the figures that RESULTS.md has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
TIMEOUT_S = 540

KEYS = {
    "faults": {"cases", "silent"},
    "gateway": {"added_p50_ms_16", "added_p99_ms_16", "memory_growth_mb"},
    "privacy": {"f1", "ms_per_kb"},
    "parked": {"runs", "worker_growth_mb", "startup_s", "wake_p99_s", "bytes_per_run"},
    "recovery": {"runs_in_flight", "takeover_s", "lost", "doubled"},
    "timers": {"timers", "late_p99_s"},
    "growth": {"workers_1", "workers_2", "history_10", "history_100", "journal_0", "journal_10000"},
    "runtime": {
        "steps_per_s_256",
        "governed_steps_per_s",
        "ratio_governed",
        "cpu_us_per_step",
        "bare_steps_per_s",
        "ratio_bare",
        "run_p50_ms",
        "runs_recounted",
    },
}


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S + 30)
@pytest.mark.parametrize("name", sorted(KEYS))
def test_a_benchmark_runs_in_the_small(name: str) -> None:
    # These leave the peers out: making their environments needs the registries, and takes minutes.
    arguments = ["--no-peers"] if name in ("runtime", "privacy", "gateway") else []
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", name, "--quick", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    assert figures.keys() >= KEYS[name]
    if name == "recovery":
        assert figures["runs_in_flight"] > 0
        assert (figures["lost"], figures["doubled"]) == (0, 0)
