"""A hub of models, through huggingface_hub: searching, what a repository offers, headers and files by range requests.

Imported only when something is asked of a hub. Everything goes through one client (`_Client`), which limits the time a
request may take and makes plain errors of refusals and broken connections, so that nothing is retried behind our back.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx2
import socksio
from huggingface_hub import HfApi, constants, get_session, hf_hub_url, set_client_factory
from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled
from huggingface_hub.hf_api import ModelInfo, RepoFile
from huggingface_hub.utils import build_hf_headers, parse_ratelimit_headers  # type: ignore[attr-defined]

from app import __version__
from app.core.gguf_header import GgufHeader, parse
from app.core.hub_files import FoundRepository, HubFile, Repository, Variant, variants
from app.core.model_facts import whole_header
from app.services.hub_errors import HubError, not_reached, not_understood, offline, proxy_refused, refusal, silent
from app.services.hub_token import stored_token

_T = TypeVar("_T")

PATIENCE: Final = {"connect": 10.0, "read": 20.0, "write": 20.0, "pool": 20.0}
"""Seconds without a sign of life until a request is given up."""
LONGEST_WAIT: Final = 300.0
"""Seconds of a `Retry-After` that are believed."""
MOST_FOUND: Final = 50
_EXPANDED: Final = ["downloads", "likes", "gated", "lastModified", "tags", "gguf"]


class _Client(httpx2.Client):
    """The HTTP client that huggingface_hub uses in this process; proxies come from the environment."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send it; raises HubError for a refusal, a time-out and a connection that breaks."""
        if constants.is_offline_mode():
            raise HubError("The variable HF_HUB_OFFLINE forbids Ember the network. Nothing was asked.", "offline")
        request.extensions = {**request.extensions, "timeout": PATIENCE}
        host = request.url.host or "The address in HF_ENDPOINT"
        try:
            response = super().send(request, **options)
        except (httpx2.ProxyError, socksio.SOCKSError) as error:  # the latter is let through where it is no SOCKS proxy
            raise proxy_refused(host) from error
        except (httpx2.TransportError, httpx2.TooManyRedirects, httpx2.InvalidURL) as error:
            raise _broken(error, host) from error
        if response.status_code < 400:
            return response
        response.close()
        headers = response.headers
        raise refusal(
            request.url.host,
            response.status_code,
            headers.get("X-Error-Code", ""),
            headers.get("X-Error-Message", ""),
            _wait_of(headers),
        )


def _broken(error: Exception, host: str) -> HubError:
    """The error for a connection that was not made, broke, or was silent for too long."""
    return silent(host, PATIENCE["read"]) if isinstance(error, httpx2.ReadTimeout) else not_reached(host)


def _wait_of(headers: httpx2.Headers) -> float:
    """The seconds that a hub asks to wait; 0 where it does not."""
    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return min(LONGEST_WAIT, float(limit.reset_in_seconds))
    said = headers.get("Retry-After", "")
    return min(LONGEST_WAIT, float(said)) if said.isdigit() else 0.0


@functools.cache
def _install_client() -> None:
    """Have huggingface_hub use our client, and send nothing about this machine beside its own version."""
    constants.HF_HUB_DISABLE_TELEMETRY = True
    set_client_factory(_make_client)


def _make_client() -> _Client:
    """The client, with the proxies of the environment; raises HubError for one that cannot be used."""
    try:
        return _Client(follow_redirects=True)
    except (ValueError, httpx2.InvalidURL) as error:
        raise HubError(
            "The proxy that the variables of the environment name (ALL_PROXY, HTTPS_PROXY, HTTP_PROXY) cannot be used: "
            "Ember needs an address that begins with http://, https:// or socks5://. Nothing was asked.",
            "no_proxy",
        ) from error


class Hub:
    """One hub: the one that HF_ENDPOINT names, else Hugging Face's; for background threads."""

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        is_offline: bool = False,
        token: Callable[[], str | None] = stored_token,
    ) -> None:
        """`token` is asked for one only when the hub demands it; one in HF_TOKEN goes with every request."""
        _install_client()
        self._api = HfApi(endpoint=endpoint, library_name="ember", library_version=__version__)
        self.endpoint: str = self._api.endpoint
        self.host = urlsplit(self.endpoint).hostname or self.endpoint
        self._is_offline = is_offline
        self._ask_for_token = token
        self._token: str | None = None

    # --- looking -----------------------------------------------------------------------------------------------------

    def search(self, words: str, sort: str = "downloads") -> tuple[FoundRepository, ...]:
        """The GGUF repositories whose names hold these words; `sort`: downloads, likes, last_modified, trending_score.

        Raises HubError.
        """
        found = self._understood(
            lambda token: list(
                self._api.list_models(
                    filter="gguf",
                    search=words,
                    sort=sort,  # type: ignore[arg-type]
                    limit=MOST_FOUND,
                    expand=_EXPANDED,  # type: ignore[arg-type]
                    token=token,
                )
            )
        )
        return tuple(map(_found, found))

    def repository(self, name: str) -> Repository:
        """What a repository offers now. Raises HubError."""
        info = self._understood(lambda token: self._api.model_info(name, token=token))
        commit = info.sha or constants.DEFAULT_REVISION
        tree = self._understood(
            lambda token: list(self._api.list_repo_tree(name, recursive=True, revision=commit, token=token))
        )
        files = [
            HubFile(file.path, file.lfs.size if file.lfs else file.size, file.lfs.sha256 if file.lfs else "")
            for file in tree
            if isinstance(file, RepoFile)
        ]
        return Repository(info.id, commit, bool(info.gated), _licence(info), variants(files))

    def header(self, repository: Repository, variant: Variant) -> GgufHeader:
        """The header of a model that is not downloaded, of all its parts; raises HubError and GgufError."""
        headers = []
        for file in variant.files:

            def read(offset: int, size: int, path: str = file.path) -> bytes:
                with self.stream(repository.id, repository.commit, path, offset, offset + size) as response:
                    if response.status_code != 206 and offset:
                        raise not_understood(self.host)
                    return _at_most(response, size)

            headers.append(parse(read, file.size))
        return whole_header(tuple(headers))

    # --- reading -----------------------------------------------------------------------------------------------------

    @contextmanager
    def stream(
        self, repository: str, commit: str, path: str, start: int, end: int | None = None
    ) -> Iterator[httpx2.Response]:
        """A file's bytes from `start` on, before `end`; the status is 200 where the hub sends all of it instead.

        Raises HubError, also from the body of the `with`, where the connection breaks.
        """
        url = hf_hub_url(repository, path, revision=commit, endpoint=self.endpoint)
        span = f"bytes={start}-" if end is None else f"bytes={start}-{end - 1}"

        def begin(token: str | None) -> httpx2.Response:
            headers = build_hf_headers(token=token, library_name="ember", library_version=__version__)
            headers |= {"Accept-Encoding": "identity", "Range": span}
            return stack.enter_context(get_session().stream("GET", url, headers=headers))

        with ExitStack() as stack:
            response = self._asked(begin)
            told = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
            if response.status_code == 206 and told != str(start):
                raise not_understood(self.host)
            try:
                yield response
            except (httpx2.TransportError, httpx2.StreamError) as error:
                raise _broken(error, self.host) from error

    def _understood(self, ask: Callable[[str | None], _T]) -> _T:
        """Ask the hub's interface; raises HubError also for an answer of an unexpected shape."""
        try:
            return self._asked(ask)
        except HFValidationError as error:
            raise HubError("This is no name of a repository; they look like “owner/name”.", "no_repository") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise not_understood(self.host) from error

    def _asked(self, ask: Callable[[str | None], _T]) -> _T:
        """Ask, and once more with the stored token where the hub demands one."""
        if self._is_offline:
            raise offline()
        try:
            return ask(self._token)
        except OfflineModeIsEnabled as error:
            raise offline() from error
        except HubError as error:
            if self._token is not None or error.status not in (401, 403):
                raise
            self._token = self._ask_for_token()
            if self._token is None:
                raise
            return ask(self._token)


def _at_most(response: httpx2.Response, size: int) -> bytes:
    """The first `size` bytes of a body, whatever else the hub would send."""
    data = b""
    for piece in response.iter_raw():
        data += piece
        if len(data) >= size:
            break
    return data[:size]


def _found(info: ModelInfo) -> FoundRepository:
    gguf: dict[str, Any] = info.gguf if isinstance(info.gguf, dict) else {}
    return FoundRepository(
        id=info.id,
        downloads=info.downloads or 0,
        likes=info.likes or 0,
        updated=info.last_modified.timestamp() if info.last_modified else 0.0,
        is_gated=bool(info.gated),
        licence=_licence(info),
        architecture=str(gguf.get("architecture") or ""),
        parameters=_number(gguf.get("total")),
        context=_number(gguf.get("context_length")),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _licence(info: ModelInfo) -> str:
    """The licence by the repository's tags, such as "apache-2.0", or by its card; empty where it has none."""
    tags = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
    names = [*tags, getattr(info.card_data, "license", None)]
    if "other" in names:  # the hub's word for one that is not in its list
        names.insert(0, getattr(info.card_data, "license_name", None))
    return next((name for name in names if isinstance(name, str) and name), "")
