"""Where a model came from goes with the archive of a conversation that was written with it."""

import zipfile
from pathlib import Path

import msgspec
import pytest

from app.core.conversation import Conversation
from app.services.download_record import ENDING, DownloadRecord, RecordedFile
from app.services.model_source import repository_of, source_of
from app.services.transfer import contents
from app.storage.archive import checked_archive, read_archive
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.files import write_bytes_atomically
from tests.unit.storage.made import CHAT, forked_tree


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    """A model's file in a folder of Ember's downloads, with the record of its download."""
    folder = tmp_path / "models" / "acme" / "Tiny-GGUF"
    folder.mkdir(parents=True)
    record = DownloadRecord("acme/Tiny-GGUF", "c", "Q4_0", "mit", (RecordedFile("m.gguf", "m.gguf", 1, "0" * 64),), 0.0)
    (folder / f"m{ENDING}").write_bytes(msgspec.json.encode(record))
    return folder / "m.gguf"


def test_a_downloaded_model_came_from_the_repository_of_its_record(downloaded: Path) -> None:
    assert repository_of(downloaded) == "acme/Tiny-GGUF"


def test_another_file_beside_it_did_not(downloaded: Path) -> None:
    assert repository_of(downloaded.with_name("other.gguf")) is None


def test_hugging_faces_cache_names_the_repository_in_the_folder() -> None:
    file = Path("/home/a/hub/models--acme--Tiny-1.5--GGUF/snapshots/0123/q4/m.gguf")
    assert repository_of(file) == "acme/Tiny-1.5--GGUF"


@pytest.mark.parametrize("folder", ["/home/a/.lmstudio/models", "/home/a/.cache/lm-studio/models"])
def test_lm_studio_keeps_its_downloads_below_the_repositorys_name(folder: str) -> None:
    assert repository_of(Path(folder) / "acme" / "Tiny-GGUF" / "m.gguf") == "acme/Tiny-GGUF"
    assert repository_of(Path(folder) / "acme" / "m.gguf") is None


@pytest.mark.parametrize("path", [None, "m.gguf", "/nowhere/m.gguf"])
def test_of_any_other_nothing_is_known(path: str | None) -> None:
    assert source_of(Conversation(forked_tree().conversation.id, model_path=path)) is None


def test_the_archive_tells_it(tmp_path: Path) -> None:
    file = tmp_path / "chat.ember"
    write_bytes_atomically(file, checked_archive(forked_tree(), {}, "acme/Tiny-GGUF"))
    assert read_archive(file).model_source == "acme/Tiny-GGUF"


def test_an_exported_chat_takes_it_along(tmp_path: Path, downloaded: Path) -> None:
    database = Database.open(tmp_path / "ember.db", tmp_path / "backups")
    try:
        store = ConversationStore(database)
        store.create(Conversation(CHAT, model_path=str(downloaded)))
        write_bytes_atomically(tmp_path / "chat.ember", contents(store, CHAT, "ember"))
    finally:
        database.close()
    assert read_archive(tmp_path / "chat.ember").model_source == "acme/Tiny-GGUF"


def test_an_archive_without_it_is_as_it_was_before(tmp_path: Path) -> None:
    write_bytes_atomically(tmp_path / "chat.ember", checked_archive(forked_tree(), {}))
    with zipfile.ZipFile(tmp_path / "chat.ember") as archive:
        assert b"model_source" not in archive.read("manifest.json")
    assert read_archive(tmp_path / "chat.ember").model_source is None
