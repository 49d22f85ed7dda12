"""The real client of huggingface_hub against a hub on loopback: what is found, and what is said when it refuses."""

import socket
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from huggingface_hub import close_session, constants
from keyring.backend import KeyringBackend
from keyring.errors import KeyringError

from app.core.errors import EmberError
from app.core.gguf_header import GgufError
from app.services.hub import Hub
from app.services.hub_errors import HubError
from app.services.hub_token import store_token, stored_token
from app.services.model_search import offer_of
from tests.support.hub import COMMIT, FakeHub, HubRepository, running_hub
from tests.support.socks import FakeSocks, running_socks
from tests.support.tiny_models import Kind, make, make_embedding_model


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A hub with nothing in it."""
    with running_hub() as running:
        yield running


@pytest.fixture
def tiny(tmp_path: Path) -> bytes:
    """A model's bytes."""
    return make(Kind.FULL, tmp_path / "tiny.gguf").read_bytes()


def asking(hub: FakeHub, token: str | None = None) -> Hub:
    """A client of the hub with a stored token."""
    return Hub(hub.endpoint, token=lambda: token)


def test_a_search_tells_what_the_hub_knows(hub: FakeHub) -> None:
    figures = {"total": 4_022_468_096, "architecture": "qwen3", "context_length": 40960}
    hub.repositories["o/Tiny-GGUF"] = HubRepository({}, gguf=figures, gated="manual", downloads=5)
    hub.repositories["o/tiny-other"] = HubRepository({}, downloads=50, licence="")
    hub.repositories["o/big"] = HubRepository({})
    other, first = asking(hub).search("tiny")
    assert (first.id, first.downloads, first.is_gated, first.licence) == ("o/Tiny-GGUF", 5, True, "apache-2.0")
    assert (first.architecture, first.parameters, first.context) == ("qwen3", 4_022_468_096, 40960)
    assert (other.id, other.licence, other.parameters) == ("o/tiny-other", "", 0)
    assert "filter=gguf" in hub.requests[0]


def test_a_repository_offers_its_models_at_one_commit(hub: FakeHub, tiny: bytes) -> None:
    hub.repositories["o/r"] = HubRepository({"r-Q4_0.gguf": tiny, "r-Q8_0.gguf": tiny * 2, "README.md": b"words"})
    repository = asking(hub).repository("o/r")
    assert (repository.commit, repository.licence, repository.is_gated) == (COMMIT, "apache-2.0", False)
    assert [(variant.label, variant.size) for variant in repository.variants] == [
        ("Q4_0", len(tiny)),
        ("Q8_0", 2 * len(tiny)),
    ]


def test_a_header_is_read_without_the_weights(hub: FakeHub, tiny: bytes) -> None:
    hub.repositories["o/r"] = HubRepository({"r-Q4_0.gguf": tiny})
    offer = offer_of(asking(hub), "o/r")
    assert offer.facts is not None and offer.facts.architecture == "qwen2"
    assert offer.problem == ""
    assert sum(sent for _start, sent in hub.sent) < len(tiny) / 10


def test_a_repository_with_nothing_to_chat_with_says_so(hub: FakeHub, tmp_path: Path) -> None:
    bert = make_embedding_model(tmp_path / "b.gguf").read_bytes()
    hub.repositories["o/bert"] = HubRepository({"b-f32.gguf": bert})
    hub.repositories["o/broken"] = HubRepository({"b-f32.gguf": b"GGUF" + bytes(100)})
    hub.repositories["o/none"] = HubRepository({"README.md": b"words"})
    assert "embeddings" in offer_of(asking(hub), "o/bert").problem
    assert offer_of(asking(hub), "o/broken").problem
    assert "no GGUF file" in offer_of(asking(hub), "o/none").problem


def test_a_hub_that_ignores_ranges_gives_no_header(hub: FakeHub, tmp_path: Path) -> None:
    long = make(Kind.FULL, tmp_path / "long.gguf", chat_template="x" * 200_000).read_bytes()
    hub.repositories["o/r"] = HubRepository({"r-Q4_0.gguf": long})
    hub.mood.ignores_ranges = True
    with pytest.raises((HubError, GgufError)):
        offer_of(asking(hub), "o/r")


@pytest.mark.parametrize(
    ("status", "headers", "kind", "words"),
    [
        (401, {"X-Error-Code": "RepoNotFound"}, "no_repository", "or it is private"),
        (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, "bad_token", "not accept the token"),
        (403, {"X-Error-Code": "GatedRepo"}, "gated", "accepted its conditions"),
        (403, {}, "forbidden", "does not let this account"),
        (404, {"X-Error-Code": "EntryNotFound"}, "not_found", "any more"),
        (416, {}, "refused", "HTTP 416"),
        (429, {"Retry-After": "7"}, "too_often", "Try again in 7 seconds"),
        (429, {"RateLimit": '"api";r=0;t=55'}, "too_often", "Try again in 55 seconds"),
        (500, {}, "hub_trouble", "trouble of its own"),
        (503, {}, "hub_trouble", "trouble of its own"),
    ],
)
def test_a_refusal_is_a_plain_sentence_at_once(
    hub: FakeHub, status: int, headers: dict[str, str], kind: str, words: str
) -> None:
    hub.mood.answers.append((status, headers))
    with pytest.raises(HubError, match=words) as refused:
        asking(hub).search("x")
    assert refused.value.kind == kind
    assert refused.value.is_passing == (status in (429, 500, 503))
    assert len(hub.requests) == 1


def test_an_answer_of_another_shape_is_not_taken(hub: FakeHub) -> None:
    hub.mood.answers.append((200, {}))
    with pytest.raises(HubError, match="does not understand"):
        asking(hub).search("x")


def test_a_hub_that_is_not_there_is_said() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(HubError, match="cannot be reached"):
            Hub(f"http://127.0.0.1:{unused.getsockname()[1]}").search("x")


def test_a_wrong_name_is_not_asked_for(hub: FakeHub) -> None:
    with pytest.raises(HubError, match="owner/name"):
        asking(hub).repository("not a name")
    assert hub.requests == []


def test_offline_nothing_is_asked(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HubError, match="stay offline"):
        Hub(hub.endpoint, is_offline=True).search("x")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        asking(hub).search("x")
    assert hub.requests == []


def test_a_token_goes_only_where_one_is_demanded_and_never_to_the_storage(hub: FakeHub, tiny: bytes) -> None:
    hub.repositories["o/open"] = HubRepository({"r-Q4_0.gguf": tiny})
    hub.repositories["o/closed"] = HubRepository({"r-Q4_0.gguf": tiny}, token="hf_secret")
    asked: list[str] = []

    def token() -> str:
        asked.append("asked")
        return "hf_secret"

    client = Hub(hub.endpoint, token=token)
    client.repository("o/open")
    assert asked == []
    offer = offer_of(client, "o/closed")
    assert asked == ["asked"]
    assert offer.facts is not None
    assert set(hub.tokens_in_storage) == {""}


def test_without_a_token_a_gated_model_says_what_to_do(hub: FakeHub, tiny: bytes) -> None:
    hub.repositories["o/gated"] = HubRepository({"r-Q4_0.gguf": tiny}, gated="auto", token="hf_secret")
    client = asking(hub)
    repository = client.repository("o/gated")
    assert repository.is_gated
    with pytest.raises(HubError, match="accepted its conditions"):
        client.header(repository, repository.variants[0])


def test_a_gated_model_tells_its_licence_and_sizes_before_a_token(hub: FakeHub, tiny: bytes) -> None:
    card = {"license": "other", "license_name": "house-rules"}
    repository = HubRepository({"r-Q4_0.gguf": tiny}, gated="auto", token="hf_secret", licence="other", card=card)
    hub.repositories["o/gated"] = repository
    offer = offer_of(asking(hub), "o/gated")
    assert offer.refusal is not None and offer.refusal.kind == "gated"
    assert (offer.repository.licence, offer.repository.variants[0].size) == ("house-rules", len(tiny))
    assert offer_of(asking(hub, "hf_secret"), "o/gated").refusal is None


def test_a_proxy_of_the_environment_is_used(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("http_proxy", hub.endpoint), ("no_proxy", ""), ("NO_PROXY", "")):
        monkeypatch.setenv(name, value)
    close_session()  # a client reads the environment once
    try:
        assert Hub("http://hub.invalid").search("x") == ()
    finally:
        close_session()
    assert hub.requests[0].startswith("GET http://hub.invalid/api/models?")


@pytest.fixture
def socks(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSocks]:
    """A SOCKS proxy that leads to the hub and that the environment names."""
    with running_socks(int(hub.endpoint.rpartition(":")[2])) as proxy:
        for name, value in (("ALL_PROXY", f"socks5://me:no%20one@{proxy.address}"), ("no_proxy", ""), ("NO_PROXY", "")):
            monkeypatch.setenv(name, value)
        proxy.secret = (b"me", b"no one")
        close_session()
        yield proxy
        close_session()


def test_a_socks_proxy_is_used_and_finds_the_host_itself(hub: FakeHub, socks: FakeSocks) -> None:
    hub.repositories["o/tiny"] = HubRepository({})
    (found,) = Hub("http://hub.invalid").search("tiny")
    assert (found.id, socks.asked_for) == ("o/tiny", [("hub.invalid", 80)])


# httpcore2 leaves the socket of a SOCKS proxy that refused to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_proxy_that_refuses_is_said(hub: FakeHub, socks: FakeSocks, answer: bytes | None) -> None:
    socks.answers_with = answer
    socks.secret = (b"me", b"another")
    with pytest.raises(HubError, match=r"The proxy .* made no connection to hub\.invalid\. Check its address, name"):
        Hub("http://hub.invalid").search("x")
    assert hub.requests == []


def test_a_proxy_of_another_kind_is_said(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ALL_PROXY", "socks4://127.0.0.1:9"), ("no_proxy", ""), ("NO_PROXY", "")):
        monkeypatch.setenv(name, value)
    close_session()
    try:
        with pytest.raises(HubError, match="an address that begins with http://, https:// or socks5://"):
            Hub(hub.endpoint).search("x")
    finally:
        close_session()
    assert hub.requests == []


def test_an_address_that_names_no_host_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HubError, match="The address in HF_ENDPOINT cannot be reached"):
        Hub("nonsense").search("x")


class _Keyring(KeyringBackend):
    """A keyring in memory, which can be locked."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def _require_open(self) -> None:
        if self.is_locked:
            raise KeyringError

    def get_password(self, service: str, username: str) -> str | None:
        self._require_open()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._require_open()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._require_open()
        del self.kept[service, username]


@pytest.fixture
def ring() -> Iterator[_Keyring]:
    """The system's keyring."""
    before = keyring.get_keyring()
    ring = _Keyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_a_token_is_kept_in_the_keyring_and_forgotten(ring: _Keyring) -> None:
    assert stored_token() is None
    store_token("hf_secret")
    assert stored_token() == "hf_secret"
    store_token("")
    assert stored_token() is None


def test_a_locked_keyring_is_said_when_a_token_shall_be_kept(ring: _Keyring) -> None:
    ring.is_locked = True
    with pytest.raises(EmberError, match="no keyring that Ember can use, or it is locked"):
        store_token("hf_secret")
    assert stored_token() is None
