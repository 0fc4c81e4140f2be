"""A workflow that takes its time is interrupted; one whose whole process is paused is not, as that is not its doing."""

from __future__ import annotations

import subprocess
import sys

PAUSED = """
import os, signal, subprocess, time
from signoff.workflows.python.watchdog import WATCHDOG

def code():
    subprocess.Popen(["sh", "-c", f"sleep 2.5; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)
    begun = time.thread_time()
    while time.thread_time() < begun + 0.1:
        pass
    return "done"

with WATCHDOG.watching("r", 2.0, code.__code__):
    print(code())
"""


def test_a_process_that_was_paused_interrupts_no_code():
    ended = subprocess.run([sys.executable, "-c", PAUSED], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.returncode) == ("done\n", 0), ended.stderr
