"""A hub of models on loopback that speaks the shapes of Hugging Face's API, and can be as bad as a network gets.

Search, model info, tree, and `/resolve/`, which redirects to another host as the real hub does to its storage, with
Range, ETag, `X-Linked-Size`, `X-Linked-Etag` and `X-Repo-Commit`; files in LFS with their sha256.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
"""A machine's proxy would not find the hub."""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PIECE = 16 * 1024
POINTER_SIZE = 135


@dataclass
class HubRepository:
    """What the hub has under one name."""

    files: dict[str, bytes]
    licence: str = "apache-2.0"
    gated: str | bool = False
    token: str = ""
    """Who does not bring it is refused."""
    downloads: int = 10
    gguf: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    """What the head of its README says."""


@dataclass
class Mood:
    """How the hub treats requests for files; each entry of `answers` is used up by one request."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Statuses with headers, given instead of what was asked for, on any path."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes of a body after which the connection breaks off."""
    ignores_ranges: bool = False
    shifts_ranges: bool = False
    """Sends another part of the file than was asked for, and says so."""
    lies_about_bytes: bool = False
    """Sends other bytes than those of the checksum."""
    sends_too_much: bool = False
    holds_after: int | None = None
    """Bytes after which a body stands still until `go_on` is set."""


class FakeHub:
    """The hub; `endpoint` is what HF_ENDPOINT takes."""

    def __init__(self) -> None:
        self.repositories: dict[str, HubRepository] = {}
        self.mood = Mood()
        self.go_on = threading.Event()
        self.is_holding = threading.Event()
        self.requests: list[str] = []
        """Method and path of each request that came."""
        self.tokens_in_storage: list[str] = []
        """The Authorization of each request to the storage, which nobody should send there."""
        self.sent: list[tuple[int, int]] = []
        """Of each body that was sent from the storage: where it began, and how many bytes left."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A hub that answers while the block runs."""
    hub = FakeHub()
    hub.start()
    try:
        yield hub
    finally:
        hub.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: FakeHub

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    headers: Message

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep quiet."""

    @property
    def hub(self) -> FakeHub:
        return self.server.hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        url = urlsplit(self.path)
        path = unquote(url.path)
        if self.hub.mood.answers:
            status, headers = self.hub.mood.answers.pop(0)
            self._refuse(status, headers)
        elif path == "/api/models":
            self._search(parse_qs(url.query))
        elif path.startswith("/api/models/"):
            self._api(path.removeprefix("/api/models/"))
        elif path.startswith("/storage/"):
            self._storage(path.removeprefix("/storage/"))
        elif "/resolve/" in path:
            self._resolve(path[1:])
        else:
            self._refuse(404, {})

    # --- the interface -----------------------------------------------------------------------------------------------

    def _search(self, query: dict[str, list[str]]) -> None:
        words = query.get("search", [""])[0].lower().split()
        found = [
            {**self._described(name), "siblings": []}
            for name, repository in self.hub.repositories.items()
            if all(word in name.lower() for word in words)
        ]
        found.sort(key=lambda entry: -int(entry["downloads"]))
        self._json(found[: int(query.get("limit", ["50"])[0])])

    def _api(self, path: str) -> None:
        name, _, rest = path.partition("/revision/") if "/revision/" in path else path.partition("/tree/")
        repository = self._allowed(name, with_files=False)
        if repository is None:
            return
        if not rest or "/revision/" in path:
            self._json({**self._described(name), "siblings": [{"rfilename": file} for file in repository.files]})
            return
        self._json(
            [
                {
                    "type": "file",
                    "oid": hashlib.sha1(data).hexdigest(),
                    "size": len(data),
                    "path": file,
                    "lfs": {
                        "oid": hashlib.sha256(data).hexdigest(),
                        "size": len(data),
                        "pointerSize": POINTER_SIZE,
                    },
                }
                for file, data in repository.files.items()
            ]
        )

    def _described(self, name: str) -> dict[str, Any]:
        repository = self.hub.repositories[name]
        return {
            "_id": "6" * 24,
            "id": name,
            "modelId": name,
            "author": name.partition("/")[0],
            "sha": COMMIT,
            "lastModified": "2026-10-01T12:00:00.000Z",
            "gated": repository.gated,
            "private": False,
            "downloads": repository.downloads,
            "likes": 3,
            "tags": ["gguf", "text-generation", f"license:{repository.licence}"],
            "gguf": repository.gguf,
            "cardData": repository.card,
        }

    # --- files -------------------------------------------------------------------------------------------------------

    def _resolve(self, path: str) -> None:
        name, _, rest = path.partition("/resolve/")
        revision, _, file = rest.partition("/")
        repository = self._allowed(name, with_files=True)
        if repository is None:
            return
        data = repository.files.get(file)
        if data is None or revision not in (COMMIT, "main"):
            self._refuse(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
            return
        digest = hashlib.sha256(data).hexdigest()
        self.send_response(302)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("X-Linked-Etag", f'"{digest}"')
        self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/storage/{name}/{file}?signed=1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _storage(self, path: str) -> None:
        owner, name, file = path.split("/", 2)
        self.hub.tokens_in_storage.append(self.headers.get("Authorization", ""))
        data = self.hub.repositories[f"{owner}/{name}"].files[file]
        mood = self.hub.mood
        if mood.lies_about_bytes:
            data = bytes(len(data) - 1) + b"x"
        if mood.sends_too_much:
            data += bytes(2 * PIECE)
        span = None if mood.ignores_ranges else _span(self.headers.get("Range", ""), len(data))
        start, end = span or (0, len(data))
        start += 1 if mood.shifts_ranges else 0
        end += PIECE if mood.sends_too_much and span else 0
        if start >= len(data):
            self._refuse(416, {"Content-Range": f"bytes */{len(data)}"})
            return
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if self.command == "GET":
            self._send(data, start, end)

    def _send(self, data: bytes, start: int, end: int) -> None:
        """Send a body as the hub's mood is."""
        mood = self.hub.mood
        cut = mood.cut_after.pop(0) if mood.cut_after else None
        sent = 0
        number = len(self.hub.sent)
        self.hub.sent.append((start, 0))
        while start + sent < end:
            piece = data[start + sent : min(end, start + sent + PIECE)]
            if cut is not None and sent + len(piece) > cut:
                piece = piece[: cut - sent]
            if piece:
                self.wfile.write(piece)
            sent += len(piece)
            self.hub.sent[number] = (start, sent)
            if sent == cut:
                self.close_connection = True
                self.connection.close()
                return
            if mood.holds_after is not None and sent >= mood.holds_after:
                self.wfile.flush()
                self.hub.is_holding.set()
                self.hub.go_on.wait()

    # --- answers -----------------------------------------------------------------------------------------------------

    def _allowed(self, name: str, *, with_files: bool) -> HubRepository | None:
        """The repository, unless it is refused, which is answered here."""
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._refuse(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Invalid username or password."})
            return None
        may = not repository.token or self.headers.get("Authorization") == f"Bearer {repository.token}"
        if may or (repository.gated and not with_files):
            return repository
        code = "GatedRepo" if repository.gated else "RepoNotFound"
        self._refuse(401, {"X-Error-Code": code, "X-Error-Message": "Access to model is restricted."})
        return None

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, headers: dict[str, str]) -> None:
        body = json.dumps({"error": "refused"}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _span(header: str, size: int) -> tuple[int, int] | None:
    """The bytes that a Range header asks for, the end excluded; None without one."""
    if not header.startswith("bytes="):
        return None
    first, _, last = header.removeprefix("bytes=").partition("-")
    return int(first), min(size, int(last) + 1) if last else size
