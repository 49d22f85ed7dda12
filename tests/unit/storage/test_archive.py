"""Session archives: out and back with nothing lost, and nothing overwritten."""

import json
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.conversation import Conversation, ConversationId, ConversationTree, MessageId, messages_by_id
from app.core.errors import EmberError
from app.storage import archive
from app.storage.archive import checked_archive, place, read_archive
from app.storage.archive_format import MESSAGE_LIMIT, ImportedConversation
from app.storage.conversations import TITLE_LIMIT, ConversationStore
from app.storage.database import Database
from app.storage.files import write_bytes_atomically
from app.storage.records import pack_ids
from tests.unit.storage.made import CHAT, forked_tree, message, message_id, put

IDS = {"smol": {message_id(1): pack_ids([1, 49151]), message_id(3): pack_ids([])}}


def exported(folder: Path, tree: ConversationTree) -> Path:
    """The path of an archive of the tree."""
    path = folder / "chat.ember"
    write_bytes_atomically(path, checked_archive(tree, IDS))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An archive of a conversation with branches."""
    return exported(tmp_path, forked_tree())


def test_a_conversation_comes_back_equal_with_its_tokens(file: Path) -> None:
    assert read_archive(file) == ImportedConversation(forked_tree(), IDS, None)


def test_any_zip_tool_can_read_it(file: Path) -> None:
    with zipfile.ZipFile(file) as opened:
        assert opened.testzip() is None
        manifest = json.loads(opened.read("manifest.json"))
        conversation = json.loads(opened.read("conversation.json"))
    assert (manifest["format"], manifest["version"]) == ("ember-conversation", 1)
    assert (manifest["messages"], manifest["branches"]) == (6, 3)
    assert conversation["messages"][0]["text"] == "Why did Roman roads last?"


@pytest.mark.parametrize("path", ["/home/ada/private/a.gguf", "C:\\Users\\ada\\private\\a.gguf", "a.gguf"])
def test_the_folder_of_the_model_stays_at_home(tmp_path: Path, path: str) -> None:
    tree = forked_tree()
    tree = ConversationTree(replace(tree.conversation, model_path=path), tree.messages)
    file = exported(tmp_path, tree)
    with zipfile.ZipFile(file) as opened:
        assert b"private" not in opened.read("conversation.json")
    imported = read_archive(file)
    assert imported.model == "a.gguf"
    assert imported.tree == forked_tree()


def test_into_another_database_it_comes_as_it_was(file: Path, tmp_path: Path) -> None:
    with closing(Database.open(tmp_path / "other.db", tmp_path)) as database:
        store = ConversationStore(database)
        assert place(store, read_archive(file)).conversation == CHAT
        assert store.tree(CHAT) == forked_tree()
        assert store.packed_token_ids(CHAT) == {}
        store.rename(CHAT, "An automatic title", by_person=False)
        assert store.get(CHAT).title == "Roman roads"


def test_token_ids_are_taken_only_from_a_trusted_file(file: Path, store: ConversationStore) -> None:
    place(store, read_archive(file), trust_token_ids=True)
    assert store.packed_token_ids(CHAT) == IDS


@pytest.mark.parametrize("deleted", [False, True])
def test_where_it_exists_a_copy_is_added_and_nothing_overwritten(
    file: Path, store: ConversationStore, deleted: bool
) -> None:
    put(store, forked_tree())
    store.rename(CHAT, "Mine")
    if deleted:
        store.delete(CHAT)
    new = place(store, read_archive(file), trust_token_ids=True).conversation
    copy = store.tree(new)
    assert copy.conversation.title == "Roman roads (copy)"
    assert [m.text for m in copy.path()] == [m.text for m in forked_tree().path()]
    assert not set(copy.messages) & set(forked_tree().messages)
    assert {len(ids) for ids in store.packed_token_ids(new).values()} == {2}
    if deleted:
        store.restore(CHAT)
    mine = store.tree(CHAT)
    assert mine.conversation.title == "Mine"
    assert mine.messages == forked_tree().messages


def test_a_message_that_exists_in_another_conversation_makes_it_a_copy(store: ConversationStore) -> None:
    put(store, forked_tree())
    other = replace(forked_tree().conversation, id=ConversationId("e" * 32), title="t" * TITLE_LIMIT)
    new = place(store, ImportedConversation(ConversationTree(other, forked_tree().messages), {}, None)).conversation
    assert store.get(new).title.endswith("ttt (copy)")
    assert store.tree(CHAT) == forked_tree()


def test_an_import_that_fails_half_way_leaves_nothing(
    file: Path, store: ConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise EmberError("The disk is full.", kind="disk_full")

    monkeypatch.setattr(store.database, "write_many", fail)
    with pytest.raises(EmberError):
        place(store, read_archive(file))
    assert store.summaries() == []


def test_a_reply_exported_while_it_streams_is_said_to_be_unfinished(store: ConversationStore, tmp_path: Path) -> None:
    tree = ConversationTree(
        Conversation(CHAT), messages_by_id([message(1, None), message(2, 1, "assistant", finish_reason=None)])
    )
    place(store, read_archive(exported(tmp_path, tree)))
    question, reply = store.tree(CHAT).messages.values()
    assert (question.finish_reason, reply.finish_reason) == (None, "failed")
    assert "was exported" in str(reply.error)


def test_an_empty_conversation_can_travel(tmp_path: Path) -> None:
    tree = ConversationTree(Conversation(CHAT, title=""), {})
    assert read_archive(exported(tmp_path, tree)).tree == tree


def test_text_that_packs_like_a_bomb_comes_back_too(tmp_path: Path) -> None:
    tree = ConversationTree(Conversation(CHAT), messages_by_id([message(1, None, text="spam " * 400_000)]))
    file = exported(tmp_path, tree)
    assert read_archive(file).tree == tree


def test_a_message_longer_than_an_archive_holds_is_said_in_plain_words(tmp_path: Path) -> None:
    tree = ConversationTree(Conversation(CHAT), messages_by_id([message(1, None, text="spam " * 900_000)]))
    with pytest.raises(
        EmberError, match=r"one of its messages has 4,500,000 characters.*export it as Markdown"
    ) as caught:
        exported(tmp_path, tree)
    assert caught.value.kind == "too_large"


def test_an_export_that_could_not_be_read_back_is_refused_and_the_old_file_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = exported(tmp_path, forked_tree())
    before = file.read_bytes()
    long = [message(number, number - 1 or None) for number in range(1, MESSAGE_LIMIT + 2)]
    with pytest.raises(EmberError, match="export it as Markdown instead") as caught:
        exported(tmp_path, ConversationTree(Conversation(CHAT), messages_by_id(long)))
    assert caught.value.kind == "too_large"
    monkeypatch.setattr(archive, "CONVERSATION_LIMIT", 100)
    with pytest.raises(EmberError, match="larger than 100 B"):
        exported(tmp_path, forked_tree())
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["chat.ember"]


def test_a_folder_that_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(EmberError, match="its folder does not exist") as caught:
        exported(tmp_path / "no", forked_tree())
    assert caught.value.kind == "cannot_write"


@settings(max_examples=50, derandomize=True, deadline=None)
@given(
    texts=st.lists(st.tuples(st.text(), st.integers(0, 10)), max_size=12),
    draft=st.text(),
    created=st.floats(0, 1e10),
    ids=st.lists(st.integers(0, 2**32 - 1)),
)
def test_any_tree_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[tuple[str, int]],
    draft: str,
    created: float,
    ids: list[int],
) -> None:
    messages = [
        replace(message(number, parent % number or None, "assistant" if parent % 2 else "user"), text=text)
        for number, (text, parent) in enumerate(texts, start=1)
    ]
    conversation = Conversation(CHAT, title=draft[:50], draft=draft, created=created, updated=created)
    tree = ConversationTree(conversation, messages_by_id(messages))
    tokens: dict[str, dict[MessageId, bytes]] = {"t": {messages[0].id: pack_ids(ids)}} if messages else {}
    file = tmp_path_factory.getbasetemp() / "any.ember"
    write_bytes_atomically(file, checked_archive(tree, tokens))
    assert read_archive(file) == ImportedConversation(tree, tokens, None)
