"""The account of saved state: how often it is asked for, when it is known, and what is still to be removed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QTimer
from pytestqt.qtbot import QtBot

from app.core.conversation import Conversation, ConversationId, Message, MessageId, new_message_id
from app.protocol.answers import Failed, SavedDropped, SavedUsage, StoreOpened
from app.protocol.requests import DropSaved, GetSavedUsage, OpenStore
from app.services.engine_client import EngineClient
from app.services.saved_states import SavedStates
from app.storage.conversations import ConversationStore
from app.storage.saved_roots import UNTOLD, SavedRoots
from app.storage.settings import SettingsStore
from tests.unit.services.fakes import FakeProcess

CHAT = ConversationId("c" * 32)
ROOT, TIP = b"r" * 32, b"t" * 32


class CountedRoots(SavedRoots):
    """The tables, and how often they were asked for what is owed."""

    asked = 0

    def owed(self) -> tuple[bytes, ...]:
        self.asked += 1
        return super().owed()


class Account:
    """The account on a fake engine whose answers take as long as the test says."""

    def __init__(self, store: ConversationStore, client: EngineClient, folder: Path, parent: QObject) -> None:
        self.store, self.client, self.now = store, client, 0.0
        self.roots = CountedRoots(store.database)
        settings = SettingsStore(store.database)
        self.saved = SavedStates(folder, self.roots, settings, client, parent, clock=lambda: self.now)
        self.greet()

    @property
    def engine(self) -> FakeProcess:
        return FakeProcess.made[-1]

    def greet(self) -> None:
        self.engine.greet()
        self.engine.say(StoreOpened(id=self.engine.asked(OpenStore)[-1].id, budget=1000))

    @property
    def questions(self) -> list[GetSavedUsage]:
        return self.engine.asked(GetSavedUsage)

    def answer(self, seconds: float = 0.0) -> None:
        """Answer the last question after so many seconds."""
        self.now += seconds
        self.engine.say(
            SavedUsage(
                id=self.questions[-1].id,
                groups=(),
                roots=(),
                budget=1000,
                disk_free=10,
                bytes_written=0,
                quarantined=0,
            )
        )

    def reply(self) -> MessageId:
        """A reply in the chat, which is made if it is not there."""
        if not self.store.summaries():
            self.store.create(Conversation(CHAT))
        message = Message(new_message_id(), CHAT, None, "assistant", "words")
        self.store.add_message(message)
        return message.id

    def record(self) -> None:
        """A turn was saved."""
        self.saved.record(self.reply(), ROOT, TIP, "a")

    def wait(self) -> int | None:
        """The milliseconds until the next question; None if none is to be asked."""
        (timer,) = self.saved.findChildren(QTimer)
        return timer.interval() if timer.isActive() else None


@pytest.fixture
def account(store: ConversationStore, client: EngineClient, tmp_path: Path) -> Iterator[Account]:
    parent = QObject()
    made = Account(store, client, tmp_path / "kv", parent)
    yield made
    made.saved.close()


def test_a_store_that_was_opened_is_asked_at_once(account: Account) -> None:
    assert len(account.questions) == 1
    account.answer()
    assert account.saved.usage is not None


def test_the_next_question_comes_soon_and_once_for_many_changes(account: Account, qtbot: QtBot) -> None:
    account.answer(0.001)
    for _ in range(5):
        account.record()
    assert account.wait() == 300
    qtbot.waitUntil(lambda: len(account.questions) == 2)
    assert account.wait() is None


def test_the_longer_an_answer_took_the_longer_the_next_question_waits(account: Account) -> None:
    account.answer(0.8)
    account.record()
    assert account.wait() == 16_000


def test_the_time_that_passed_since_counts(account: Account) -> None:
    account.answer(0.8)
    account.now += 15
    account.record()
    assert account.wait() == 1000


def test_a_change_while_a_question_waits_does_not_put_it_off(account: Account) -> None:
    account.answer(0.8)
    account.record()
    account.now += 10
    account.record()
    assert account.wait() == 16_000


def test_a_persons_action_asks_at_once(account: Account) -> None:
    account.answer(0.8)
    account.record()
    account.saved.refresh()
    assert len(account.questions) == 2
    assert account.wait() is None


def test_a_persons_action_during_a_question_asks_once_more_after_it(account: Account) -> None:
    account.saved.refresh()
    account.saved.refresh()
    assert len(account.questions) == 1
    account.answer()
    assert len(account.questions) == 2
    account.answer()
    assert len(account.questions) == 2


def test_a_question_that_fails_does_not_end_the_asking(account: Account) -> None:
    account.engine.say(Failed(id=account.questions[0].id, kind="saved_state", sentence="The disk does not answer."))
    account.saved.refresh()
    assert len(account.questions) == 2


def test_what_is_saved_is_not_known_while_no_engine_has_the_store(account: Account, qtbot: QtBot) -> None:
    account.answer()
    with qtbot.waitSignal(account.saved.changed):
        account.engine.die()
    assert account.saved.usage is None
    before = len(FakeProcess.made)
    qtbot.waitUntil(lambda: len(FakeProcess.made) > before)
    account.greet()
    account.answer()
    assert account.saved.usage is not None


def test_a_turn_asks_for_what_is_owed_only_where_something_may_be(account: Account) -> None:
    asked = account.roots.asked
    for _ in range(3):
        account.record()
    assert account.roots.asked == asked


def test_what_could_not_be_removed_is_tried_again_after_the_next_turn(account: Account) -> None:
    account.record()
    account.saved.set_may_save(CHAT, False)
    (refused,) = account.engine.asked(DropSaved)
    account.engine.say(Failed(id=refused.id, kind="saved_state", sentence="The disk does not answer."))
    account.saved.set_may_save(CHAT, True)
    account.record()
    again = account.engine.asked(DropSaved)[-1]
    assert again.id != refused.id
    assert set(again.tips) == {UNTOLD, TIP}


def test_the_state_of_a_chat_that_went_during_its_turn_is_removed(account: Account) -> None:
    reply = account.reply()
    account.store.delete(CHAT)
    account.saved.record(reply, ROOT, TIP, "a")
    (drop,) = account.engine.asked(DropSaved)
    assert set(drop.tips) == {UNTOLD, TIP}
    account.engine.say(SavedDropped(id=drop.id, freed_bytes=1))
    assert account.roots.owed() == ()
