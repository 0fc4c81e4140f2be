"""A server that tells request by request what of it came, whole or not; in plain text or TLS, whose key is its own."""

from __future__ import annotations

import contextlib
import queue
import re
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Arrived:
    """What came of one request until it was whole, or the connection ended."""

    head: bytes
    body: bytes
    whole: bool


@dataclass
class RawServer:
    """A server that is up.

    Attributes:
        url: where it is.
        requests: in the order in which they came to an end.
        reading: while it is cleared, nothing is read of what comes.
        answer: to every request.
    """

    url: str
    requests: queue.Queue[Arrived] = field(default_factory=queue.Queue[Arrived])
    reading: threading.Event = field(default_factory=threading.Event)
    answer: bytes = ANSWER


@contextmanager
def raw_server(context: ssl.SSLContext | None = None, *, receive_bytes: int | None = None) -> Generator[RawServer]:
    """Serve until the block ends and all clients have gone.

    Args:
        context: of a server that speaks TLS.
        receive_bytes: what the kernel takes in of a connection before anybody reads.
    """
    with socket.socket() as listener:
        if receive_bytes is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        scheme = "http" if context is None else "https"
        state = RawServer(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        state.reading.set()
        thread = threading.Thread(target=_accept, args=(listener, context, state), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            state.reading.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, context: ssl.SSLContext | None, state: RawServer) -> None:
    served: list[threading.Thread] = []
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            thread = threading.Thread(target=_serve, args=(connection, context, state), daemon=True)
            thread.start()
            served.append(thread)
    for thread in served:
        thread.join()


def _serve(connection: socket.socket, context: ssl.SSLContext | None, state: RawServer) -> None:
    with (
        contextlib.suppress(OSError),
        contextlib.closing(
            connection if context is None else context.wrap_socket(connection, server_side=True)
        ) as line,
    ):
        while (arrived := _read(line, state)).head:
            state.requests.put(arrived)
            if not arrived.whole:
                return
            line.sendall(state.answer)
            if arrived.head.startswith(b"CONNECT"):
                return


def _read(line: socket.socket, state: RawServer) -> Arrived:
    data = b""
    while not _arrived(data).whole:
        state.reading.wait()
        try:
            part = line.recv(65536)
        except ConnectionResetError:
            break
        if not part:
            break
        data += part
    return _arrived(data)


def _arrived(data: bytes) -> Arrived:
    head, end, body = data.partition(b"\r\n\r\n")
    size = re.search(rb"(?i)content-length: (\d+)", head)
    return Arrived(head, body, whole=bool(end) and len(body) == (0 if size is None else int(size[1])))


def tls_contexts(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for 127.0.0.1, and that of a client who trusts it alone."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "server.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    client = ssl.create_default_context(cadata=certificate.public_bytes(serialization.Encoding.PEM).decode())
    return server, client
