"""The list of chats follows the stored conversations and the engine, a changed chat at a time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.conversation import Conversation, ConversationId, Message, new_conversation_id, new_message_id
from app.gui.chat_list import AT_ONCE, ChatList
from app.gui.sidebar.conversation_list import ConversationList
from app.gui.sidebar.item import SidebarItem
from app.gui.sidebar.model import ConversationModel
from app.gui.sidebar.sidebar import Sidebar
from app.protocol.answers import Statistics
from app.services.engine_process import EngineDeath
from app.services.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A data folder of its own; its engine is never started."""
    opened = Workspace(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def sidebar(qtbot: QtBot) -> Sidebar:
    """The sidebar that the list feeds."""
    made = Sidebar()
    qtbot.addWidget(made)
    return made


@pytest.fixture
def model(sidebar: Sidebar) -> ConversationModel:
    """Its rows."""
    rows = sidebar.findChild(ConversationList)
    assert rows is not None
    shown = rows.model()
    assert isinstance(shown, ConversationModel)
    return shown


def add(workspace: Workspace, title: str, updated: float) -> ConversationId:
    """Store a conversation."""
    conversation = Conversation(new_conversation_id(), title=title, created=updated, updated=updated)
    workspace.store.create(conversation)
    return conversation.id


def say(workspace: Workspace, conversation: ConversationId, text: str) -> None:
    """Store a message."""
    workspace.store.add_message(Message(new_message_id(), conversation, None, "user", text))


def ask(workspace: Workspace, conversation: ConversationId) -> None:
    """Store a message of the person's."""
    workspace.store.add_message(Message(new_message_id(), conversation, None, "user", "How?"))


def shown(model: ConversationModel, conversation: str) -> SidebarItem:
    """A chat as the list shows it."""
    item = model.item(conversation)
    assert item is not None
    return item


def statistics(live: str | None) -> Statistics:
    """What an engine tells that has this conversation in its memory."""
    return Statistics(
        id=1,
        rss=0,
        ram_total=0,
        ram_available=0,
        devices=(),
        memory=(),
        context_used=0,
        context_size=0,
        live_conversation=live,
        saved_bytes=0,
        saved_budget=0,
        saved_generation=0,
        busy=False,
    )


def titles(model: ConversationModel) -> list[str]:
    """The chats in their order."""
    return [item.title for row in range(model.rowCount()) if (item := model.item_at(row)) is not None]


def test_a_message_brings_its_chat_to_the_top_and_reads_no_other(
    workspace: Workspace, sidebar: Sidebar, model: ConversationModel, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = add(workspace, "Old", 1000.0)
    add(workspace, "New", 2000.0)
    ChatList(sidebar, workspace, sidebar)
    monkeypatch.setattr(workspace.store, "summaries", lambda **_: pytest.fail("the whole list was read"))
    ask(workspace, old)
    qtbot.waitUntil(lambda: titles(model) == ["Old", "New"])


def test_another_message_in_the_newest_chat_only_repaints_its_row(
    workspace: Workspace, sidebar: Sidebar, model: ConversationModel, qtbot: QtBot
) -> None:
    add(workspace, "Old", 1000.0)
    new = add(workspace, "New", 2000.0)
    ChatList(sidebar, workspace, sidebar)
    ask(workspace, new)
    qtbot.waitUntil(lambda: shown(model, new).updated > 2000.0)
    with qtbot.assertNotEmitted(model.modelReset), qtbot.waitSignal(model.dataChanged):
        ask(workspace, new)


def test_new_renamed_deleted_and_restored_chats_show(
    workspace: Workspace, sidebar: Sidebar, model: ConversationModel, qtbot: QtBot
) -> None:
    ChatList(sidebar, workspace, sidebar)
    chat = add(workspace, "Roads", 1000.0)
    qtbot.waitUntil(lambda: titles(model) == ["Roads"])
    workspace.store.rename(chat, "Roman roads")
    qtbot.waitUntil(lambda: titles(model) == ["Roman roads"])
    workspace.store.delete(chat)
    qtbot.waitUntil(lambda: titles(model) == [])
    workspace.store.restore(chat)
    qtbot.waitUntil(lambda: titles(model) == ["Roman roads"])


def test_many_changes_at_once_show_all(
    workspace: Workspace, sidebar: Sidebar, model: ConversationModel, qtbot: QtBot
) -> None:
    ChatList(sidebar, workspace, sidebar)
    for number in range(20):
        add(workspace, f"Chat {number}", 1000.0 - number)
    qtbot.waitUntil(lambda: titles(model) == [f"Chat {number}" for number in range(20)])


def test_the_chat_that_the_engine_holds_is_in_memory_until_another_is(
    workspace: Workspace, sidebar: Sidebar, model: ConversationModel
) -> None:
    one, two = add(workspace, "One", 1000.0), add(workspace, "Two", 2000.0)
    ChatList(sidebar, workspace, sidebar)
    workspace.engine.statistics.emit(statistics(one))
    assert (shown(model, one).state, shown(model, two).state) == ("memory", "unsaved")
    workspace.engine.statistics.emit(statistics(two))
    assert (shown(model, one).state, shown(model, two).state) == ("unsaved", "memory")


def test_the_rows_are_told_once_of_other_states_and_not_at_all_of_the_same(
    workspace: Workspace, sidebar: Sidebar, model: ConversationModel
) -> None:
    one, two = add(workspace, "One", 1000.0), add(workspace, "Two", 2000.0)
    chats = ChatList(sidebar, workspace, sidebar)
    workspace.engine.statistics.emit(statistics(one))
    told: list[None] = []
    model.dataChanged.connect(lambda *_: told.append(None))
    chats.show_states()
    assert not told
    workspace.engine.statistics.emit(statistics(two))
    assert len(told) == 1


def test_nothing_is_in_memory_once_the_engine_has_died(
    workspace: Workspace, sidebar: Sidebar, model: ConversationModel
) -> None:
    chat = add(workspace, "One", 1000.0)
    ChatList(sidebar, workspace, sidebar)
    workspace.engine.statistics.emit(statistics(chat))
    workspace.engine.died.emit(EngineDeath(9, True, ()))
    assert shown(model, chat).state == "unsaved"


def test_the_neighbour_of_a_chat_is_the_next_older_one_as_the_list_shows_it(
    workspace: Workspace, sidebar: Sidebar, model: ConversationModel, qtbot: QtBot
) -> None:
    old, middle, new = (add(workspace, title, updated) for title, updated in (("O", 1.0), ("M", 2.0), ("N", 3.0)))
    chats = ChatList(sidebar, workspace, sidebar)
    assert (chats.neighbour(new), chats.neighbour(old)) == (middle, middle)
    ask(workspace, old)
    qtbot.waitUntil(lambda: titles(model) == ["O", "N", "M"])
    assert (chats.neighbour(old), chats.neighbour(middle)) == (new, new)


def test_after_much_work_the_next_changes_are_gathered_for_a_while(
    workspace: Workspace, sidebar: Sidebar, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, model: ConversationModel
) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 0.02  # each look at it takes that long: showing a change takes longer than a frame
        return now[0]

    monkeypatch.setattr("app.gui.chat_list.time.monotonic", clock)
    chats = ChatList(sidebar, workspace, workspace)

    def show(number: int) -> None:
        chat = add(workspace, f"Chat {number}", float(number))
        qtbot.waitUntil(lambda: model.item(chat) is not None)

    for number in range(1, AT_ONCE + 1):
        show(number)
        assert chats._later.interval() == 0  # a person's own changes are shown at once
    show(AT_ONCE + 1)
    second, third = add(workspace, "Second", 100.0), add(workspace, "Third", 101.0)
    assert chats._later.interval() > 50
    qtbot.waitUntil(lambda: model.item(second) is not None and model.item(third) is not None)
    now[0] += 1.0
    show(AT_ONCE + 2)
    add(workspace, "After a pause", 102.0)
    assert chats._later.interval() == 0


def test_a_search_looks_into_the_texts_too(
    workspace: Workspace, sidebar: Sidebar, model: ConversationModel, qtbot: QtBot
) -> None:
    chats = ChatList(sidebar, workspace, sidebar)
    roads = add(workspace, "Roman roads", 9.0)
    bread = add(workspace, "Sourdough", 8.0)
    say(workspace, roads, "How were they built?")
    say(workspace, bread, "</think>\n\nLet it **rest** beside the harbour,\nthen bake it.")
    chats.read()
    sidebar._panel.search.setText("harb")
    qtbot.waitUntil(lambda: model.found(bread) is not None)
    assert model.index_of(roads).isValid() is False
    assert model.found(bread) == "…beside the harbour, then bake it."
    chats.close()
