"""A SOCKS5 proxy on loopback: without or with a name and a password, and able to refuse."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NO_SECRET, SECRET, NOTHING_SUITS = 0, 2, 255
BY_NAME = 3
REFUSED = 5
PIECE = 64 * 1024


class FakeSocks(socketserver.ThreadingTCPServer):
    """Connects whoever asks to a port of this machine, whatever host was named."""

    daemon_threads = True

    def __init__(self, target: int) -> None:
        """`target` is the port that every connection leads to."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.secret: tuple[bytes, bytes] | None = None
        """The name and the password that it wants."""
        self.answers_with: bytes | None = None
        """What it sends instead of the protocol, as some other server would; then it hangs up."""
        self.is_refusing = False
        self.asked_for: list[tuple[str, int]] = []
        """The host and port of each connection."""
        self.address = f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what the tests are about."""


class _Handler(socketserver.BaseRequestHandler):
    server: FakeSocks
    request: socket.socket

    def handle(self) -> None:
        """Greet, connect, and carry bytes both ways until one side is done."""
        reader = self.request.makefile("rb")
        methods = reader.read(reader.read(2)[1])
        if self.server.answers_with is not None:
            self.request.sendall(self.server.answers_with)
            return
        method = NO_SECRET if self.server.secret is None else SECRET
        if method not in methods:
            self.request.sendall(bytes((5, NOTHING_SUITS)))
            return
        self.request.sendall(bytes((5, method)))
        if method == SECRET:
            name = reader.read(reader.read(2)[1])
            is_right = (name, reader.read(reader.read(1)[0])) == self.server.secret
            self.request.sendall(bytes((1, 0 if is_right else 1)))
            if not is_right:
                return
        kind = reader.read(4)[3]
        host = reader.read(reader.read(1)[0]).decode() if kind == BY_NAME else socket.inet_ntoa(reader.read(4))
        self.server.asked_for.append((host, int.from_bytes(reader.read(2), "big")))
        self.request.sendall(bytes((5, REFUSED if self.server.is_refusing else 0, 0, 1, 0, 0, 0, 0, 0, 0)))
        if not self.server.is_refusing:
            with socket.create_connection(("127.0.0.1", self.server.target)) as there:
                back = threading.Thread(target=_carry, args=(there, self.request), daemon=True)
                back.start()
                _carry(self.request, there)
                back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    while piece := source.recv(PIECE):
        sink.sendall(piece)
    sink.shutdown(socket.SHUT_WR)


@contextmanager
def running_socks(target: int) -> Iterator[FakeSocks]:
    """A proxy that answers while the block runs."""
    with FakeSocks(target) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
