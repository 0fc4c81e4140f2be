"""Runs the shop: `python -m examples.refunds.shop --port 0 --database FILE`.

The first line on standard output is a JSON object with `url`, `port` and `pid`, printed when requests are accepted.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from pathlib import Path

import uvicorn

from examples.refunds.shop.app import create_app
from examples.refunds.shop.ledger import Ledger
from examples.refunds.shop.middleware import Faults
from examples.refunds.shop.record import Record
from examples.refunds.sources import shop_data

DEFAULT_PORT = 8765
BACKLOG = 512


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.refunds.shop", description="The refunds example's shop.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--database", type=Path, required=True, help="SQLite file; made and filled where it is new")
    parser.add_argument("--record", type=Path, help="append-only record of requests (default: DATABASE.requests.jsonl)")
    parser.add_argument("--no-dedup", action="store_true", help="every POST /refunds pays, whatever its key and amount")
    faults = parser.add_argument_group("faults, for tests")
    faults.add_argument("--fault-path", default="/refunds", help="which POSTs are hit (default: %(default)s)")
    faults.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="before each is processed")
    faults.add_argument("--fail-first", type=int, default=0, metavar="N", help="answer N with 500, unprocessed")
    faults.add_argument("--drop-first", type=int, default=0, metavar="N", help="process N, then drop the connection")
    return parser.parse_args()


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    arguments = _arguments()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((arguments.host, arguments.port))
    except OSError as error:
        sys.exit(f"The shop cannot listen on {arguments.host}:{arguments.port}: {error}. Give another with --port.")
    listener.listen(BACKLOG)
    ledger = Ledger(arguments.database, deduplicate=not arguments.no_dedup)
    ledger.fill(shop_data())
    record = Record(arguments.record or arguments.database.with_name(arguments.database.name + ".requests.jsonl"))
    faults = Faults(
        path=arguments.fault_path,
        delay_s=arguments.delay,
        fail_first=arguments.fail_first,
        drop_first=arguments.drop_first,
    )
    app = create_app(ledger, record, faults=faults, deduplicate=not arguments.no_dedup)
    port = listener.getsockname()[1]
    # Connections wait in the listener's backlog until the server takes them, so this is true already.
    print(json.dumps({"url": f"http://{arguments.host}:{port}", "port": port, "pid": os.getpid()}), flush=True)
    try:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off"))
        server.run(sockets=[listener])
    finally:
        record.close()
        ledger.close()


if __name__ == "__main__":
    main()
