"""A port for a server that dies and comes back on it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

PORTS = 8_000
"""How many ports below those that the kernel gives out by itself are tried."""


def lasting_port() -> int:
    """A free TCP port that the kernel gives to nobody who did not ask for it, also while its server is dead.

    One that `bind` to port 0 found may be another test's by then. Where to begin to look is the process's own.

    Raises:
        OSError: none is free.
    """
    known = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first_given = int(known.read_text().split()[0]) if known.exists() else 32_768
    top = first_given if first_given > 1024 + PORTS else 32_768  # where it gives out nearly all there is no better
    for step in range(PORTS):
        port = top - 1 - (os.getpid() * 97 + step) % PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")
