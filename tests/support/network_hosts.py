"""Hosts on one machine: network namespaces with an interface of their own. They need root and `ip netns`.

Each process has names and a network of its own, made of its number, so that any number of them do not meet; what a
killed one left behind is removed before the next one begins.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

PREFIX = "signoff-"
NETWORKS = 1 << 14
"""How many networks of four addresses there are in 10.211.0.0/16."""

_OWNED = re.compile(rf"{PREFIX}(?P<owner>\d+)-(?P<number>\d+)")
_NOT_TO_BE_HAD = (
    "Operation not permitted",
    "Permission denied",
    "Read-only file system",
    "Unknown device type",
    "not supported",
)
_open: set[str] = set()


class IpError(Exception):
    """`ip` failed, with what it said."""


@dataclass(frozen=True)
class Host:
    """A namespace with a way to this one.

    Attributes:
        name: of the namespace.
        link: the interface of this side.
        gateway: this side's address, as the host sees it.
    """

    name: str
    link: str
    gateway: str


def ip(*arguments: str) -> str:
    """What the command says.

    Raises:
        IpError: it failed.
    """
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise IpError(f"ip {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def why_not() -> str | None:
    """Why there can be no hosts here, or none.

    Raises:
        IpError: making one failed for another reason than that it is not permitted.
    """
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need Linux, root and the command ip"
    try:
        remove_leftovers()
        with host(99):
            return None
    except IpError as error:
        if any(reason in str(error) for reason in _NOT_TO_BE_HAD):
            return f"network namespaces are not permitted here: {error}"
        raise


def namespaces() -> list[str]:
    """The names of all there are."""
    return [line.split()[0] for line in ip("netns", "list").splitlines() if line]


def remove_leftovers() -> list[str]:
    """Remove the hosts of processes that are no more, and what still runs on them; gives their names."""
    removed: list[str] = []
    for name in namespaces():
        owned = _OWNED.fullmatch(name)
        if owned is None or name in _open:
            continue
        owner = int(owned["owner"])
        if owner == os.getpid() or not psutil.pid_exists(owner):  # ours is another's that had our number before us
            _remove(name, _link(owner, int(owned["number"])))
            removed.append(name)
    return removed


@contextmanager
def host(number: int) -> Generator[Host]:
    """A host of this process while the block lasts; `number`, up to 99, tells it from its others."""
    owner = os.getpid()
    name, link, inner = f"{PREFIX}{owner}-{number}", _link(owner, number), f"sg{owner}p{number}"
    _open.add(name)
    ip("netns", "add", name)
    try:
        ip("link", "add", link, "type", "veth", "peer", "name", inner, "netns", name)
        ip("link", "set", link, "up")
        gateway, address = _addressed(link, number)
        inside = ("netns", "exec", name, "ip")
        ip(*inside, "addr", "add", f"{address}/30", "dev", inner)
        ip(*inside, "link", "set", inner, "up")
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "route", "add", "default", "via", gateway)
        yield Host(name, link, gateway)
    finally:
        _remove(name, link)
        _open.discard(name)


def _link(owner: int, number: int) -> str:
    """The name of an interface: 15 characters are the most."""
    return f"sg{owner}h{number}"


def _remove(name: str, link: str) -> None:
    """Remove a namespace, its processes first, and the link to it; what another process was quicker with is fine."""
    with suppress(IpError):
        for process_id in ip("netns", "pids", name).split():
            with suppress(ProcessLookupError):
                os.kill(int(process_id), signal.SIGKILL)
    with suppress(IpError):  # also where there is none any more; the kernel removes it with the namespace, but later
        ip("link", "del", link)
    try:
        ip("netns", "del", name)
    except IpError:
        if name in namespaces():
            raise


def _addressed(link: str, number: int) -> tuple[str, str]:
    """Give the link an address in a network that nobody on this machine uses; gives both ends' addresses."""
    start = os.getpid() * 7 + number
    for step in range(NETWORKS):
        first = (start + step) % NETWORKS * 4
        network, gateway, address = (f"10.211.{(first + end) >> 8}.{(first + end) & 255}" for end in range(3))
        if not _users(network):
            ip("addr", "add", f"{gateway}/30", "dev", link)
            if len(_users(network)) == 1:
                return gateway, address
            ip("addr", "del", f"{gateway}/30", "dev", link)  # another process took it in the same moment
    raise IpError("every network is in use")


def _users(network: str) -> list[str]:
    return ip("-o", "-4", "addr", "show", "to", f"{network}/30").splitlines()
