"""A process that uses the embedded server of a directory: prints its URL, then waits until its input closes."""

from __future__ import annotations

import sys
from pathlib import Path

from signoff.foundation.database import EmbeddedServer

server = EmbeddedServer(Path(sys.argv[1]), durable=False)
print(server.start(), flush=True)
sys.stdin.read()
server.stop()
