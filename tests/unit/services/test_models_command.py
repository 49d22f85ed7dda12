"""`models`: what a person or a script sees of it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import run
from app.core.units import format_bytes
from app.kvstore.store import Store
from app.services import download_work, models_command
from app.services.first_models import first_model_for, first_models, is_for
from app.services.hub import Hub
from app.services.model_search import OFFLINE_KEY
from app.storage.database import Database
from app.storage.saved_roots import SavedModel, SavedRoots
from app.storage.settings import SettingsStore
from tests.support.hub import FakeHub, HubRepository, running_hub
from tests.support.tiny_models import Kind, make, make_truncated
from tests.unit.kvstore.made import PLENTY, ROOT, save

Shown = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder of the test's own; Ctrl+C comes back to the test run."""
    handler = signal.getsignal(signal.SIGINT)
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "OLLAMA_MODELS", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """The hub that HF_ENDPOINT names, with a model in two quantisations."""
    data = make(Kind.FULL, tmp_path / "tiny.gguf").read_bytes()
    monkeypatch.setattr(download_work, "DELAYS", (0.0,) * 2)
    with running_hub() as running:
        monkeypatch.setattr(models_command, "_hub", lambda _root: Hub(running.endpoint, token=lambda: None))
        running.repositories["o/tiny-GGUF"] = HubRepository({"tiny-Q4_K_M.gguf": data, "tiny-Q8_0.gguf": data})
        yield running


def ember(capsys: Shown, *arguments: str, status: int = 0) -> tuple[str, str]:
    """Run `models …` on a data folder below the home folder; what it prints and what it says."""
    assert run(["models", *arguments, "--data-dir", str(Path.home() / "ember")]) == status
    told = capsys.readouterr()
    return told.out, told.err


def test_what_is_known_is_listed_with_what_its_header_says(capsys: Shown, home: Path) -> None:
    path = home / ".lmstudio" / "models" / "o" / "r" / "tiny.gguf"
    path.parent.mkdir(parents=True)
    make(Kind.FULL, path)
    out, _ = ember(capsys)
    assert "tiny: 2.0 MiB, qwen2, 520,618, F32, 8,192 tokens, LM Studio\n" in out
    assert f"  {path}\n  Fits: about " in out
    out, _ = ember(capsys, "--json")
    (line,) = (json.loads(line) for line in out.splitlines() if json.loads(line)["origin"] == "lm_studio")
    assert (line["file"], line["architecture"], line["fit"], line["problem"]) == (str(path), "qwen2", "fits", "")


def test_what_is_saved_of_a_models_chats_is_told(capsys: Shown, home: Path) -> None:
    path = make(Kind.FULL, home / "mine.gguf")
    out, _ = ember(capsys, "add", str(path), "--json")
    assert json.loads(out)["saved_bytes"] == 0
    data = home / "ember"
    database = Database.open(data / "ember.db", data / "backups")
    SavedRoots(database).adopt((), {ROOT: SavedModel(str(path), "mine")})
    database.close()
    store = Store(data / "kv", PLENTY)
    save(store, "hello there", size=3000)
    out, _ = ember(capsys)  # while the engine has the store
    size = sum(each.bytes for each in store.totals().roots.values())
    store.close()
    assert f", added, {format_bytes(size)} of saved state\n" in out
    (data / "kv" / "index.db").write_bytes(b"damaged" * 100)
    out, _ = ember(capsys, "--json")
    assert [line["saved_bytes"] for line in map(json.loads, out.splitlines())][-1] is None


def test_a_file_is_added_and_taken_off_the_list(capsys: Shown, home: Path) -> None:
    path = make(Kind.FULL, home / "mine.gguf")
    out, _ = ember(capsys, "add", str(path))
    assert out.startswith("mine: 2.0 MiB")
    out, _ = ember(capsys, "remove", "mine")
    assert out == "mine is not listed any more; the file stays where it is.\n"
    assert path.exists()


def test_what_is_no_model_is_refused_in_one_sentence(capsys: Shown, home: Path) -> None:
    (home / "words.gguf").write_text("no model")
    out, err = ember(capsys, "add", str(home / "words.gguf"), status=1)
    assert (out, err) == ("", "words.gguf was not added. The file is not a GGUF model: it does not begin as one.\n")


def test_a_model_is_found_downloaded_verified_and_removed(capsys: Shown, hub: FakeHub) -> None:
    out, _ = ember(capsys, "search", "tiny", "gguf")
    assert out == "o/tiny-GGUF: apache-2.0, 10 downloads a month\n"
    out, err = ember(capsys, "get", "o/tiny-GGUF")
    file = Path.home() / "ember" / "models" / "o" / "tiny-GGUF" / "tiny-Q4_K_M.gguf"
    assert out == f"{file}\n"
    assert err == "The licence of this model is apache-2.0.\n"
    out, err = ember(capsys, "get", "o/tiny-GGUF")
    assert (out, err) == (f"{file}\n", "tiny-Q4_K_M.gguf is downloaded already.\n")
    out, _ = ember(capsys, "verify", "tiny-Q4_K_M")
    assert out.startswith("tiny-Q4_K_M.gguf is what was published.\n")
    out, _ = ember(capsys, "--json")
    (line,) = (json.loads(line) for line in out.splitlines() if json.loads(line)["origin"] == "downloaded")
    assert (line["repository"], line["licence"]) == ("o/tiny-GGUF", "apache-2.0")
    out, _ = ember(capsys, "remove", "tiny-Q4_K_M", "--json")
    assert json.loads(out) == {"file": str(file), "removed": True}
    assert not file.exists()


def test_a_changed_file_fails_its_verification(capsys: Shown, hub: FakeHub) -> None:
    out, _ = ember(capsys, "get", "o/tiny-GGUF", "q8_0", "--json")
    file = Path(json.loads(out)["file"])
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    out, _ = ember(capsys, "verify", "tiny-Q8_0", "--json", status=1)
    assert json.loads(out)["verdict"] == "wrong"


def test_a_damaged_file_without_a_known_checksum_fails_its_verification(
    capsys: Shown, home: Path, tmp_path: Path
) -> None:
    source = make(Kind.FULL, tmp_path / "made.bin")
    folder = tmp_path / ".lmstudio" / "models"
    folder.mkdir(parents=True)
    make_truncated(source, folder / "half.gguf")
    out, _ = ember(capsys, "verify", "half", status=1)
    assert out.startswith("The file is 1021 KiB of the 2.0 MiB it should have")


def test_a_quantisation_that_is_not_there_names_those_that_are(capsys: Shown, hub: FakeHub) -> None:
    _, err = ember(capsys, "get", "o/tiny-GGUF", "Q2_K", status=1)
    assert err == "There is no “Q2_K” in o/tiny-GGUF; name one of: Q4_K_M (2.0 MiB), Q8_0 (2.0 MiB).\n"


def test_a_refusal_of_the_hub_is_one_sentence(capsys: Shown, hub: FakeHub) -> None:
    out, err = ember(capsys, "get", "o/nothing", status=1)
    assert out == ""
    assert err.count("\n") == 1 and "no such repository" in err


def test_offline_nothing_is_asked(capsys: Shown, home: Path) -> None:
    (home / "ember").mkdir()
    database = Database.open(home / "ember" / "ember.db", home / "ember" / "backups")
    SettingsStore(database).set(OFFLINE_KEY, True)
    database.close()
    _, err = ember(capsys, "search", "x", status=1)
    assert "set to stay offline" in err


def test_the_first_models_go_up_with_the_memory() -> None:
    sizes = [(model.memory_gib, model.about_bytes) for model in first_models()]
    assert sizes == sorted(sizes)
    assert [gib for gib, _size in sizes] == [4, 8, 16, 24]
    assert all(size < gib * 2**30 * 0.7 for gib, size in sizes)
    assert first_model_for(2**30).memory_gib == 4
    assert first_model_for(16 * 2**30 - 400 * 2**20).memory_gib == 16
    assert [is_for(first_models()[0], gib * 2**30) for gib in (2, 4)] == [False, True]
