"""Saved state in the window: never for this chat, removing it, its settings and its check, its gauge, the mode."""

from dataclasses import dataclass, field

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMessageBox

from app.core.conversation import ConversationId, MessageId
from app.gui import wording
from app.gui.dialogs_saved import SavedStateDialog
from app.protocol.answers import (
    Failed,
    SavedDropped,
    SavedUsage,
    SavedVerified,
    Statistics,
    StoreOpened,
    VerifyProgress,
)
from app.protocol.parts import DeviceMemory, MemoryMode, RootUsage, TipUsage
from app.protocol.requests import (
    Cancel,
    ClearCache,
    ClearSaved,
    DropSaved,
    GetSavedUsage,
    GetStatistics,
    OpenStore,
    VerifySaved,
)
from app.storage.saved_roots import UNTOLD
from tests.unit.gui.person import Person

MIB, GIB = 1 << 20, 1 << 30
DEFAULT = round(7.66 * GIB)
ROOT, TIP = b"r" * 32, b"t" * 32


@dataclass
class Saving:
    """A person with one chat, 5 MiB of which are saved, 2 of them shared; 100 MiB are saved in all."""

    person: Person
    answered: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.window, self.engine = self.person.window, self.person.engine
        self.saved = self.window.workspace.saved
        self.engine.say(StoreOpened(id=self.engine.asked(OpenStore)[-1].id, budget=DEFAULT))
        self.person.say("Hello", "Hello yourself.", prompt=1000, generated=24)
        chat = self.window.chat.conversation_id
        assert chat is not None
        self.chat: ConversationId = chat
        reply = self.window.workspace.store.tree(chat).path()[-1].id
        self.saved.record(MessageId(reply), ROOT, TIP, "a")
        self.tell_usage()

    def tell_usage(self, all_bytes: int = 100 * MIB) -> None:
        """Answer the window's questions about what is saved, those that wait and one that is asked now."""
        self.saved.refresh()
        while asked := [each for each in self.engine.asked(GetSavedUsage) if each.id not in self.answered]:
            self.answered.add(asked[0].id)
            self._tell_usage(asked[0], all_bytes)

    def _tell_usage(self, asked: GetSavedUsage, all_bytes: int) -> None:
        root = RootUsage(root=ROOT, chunks=9, tokens=2000, bytes=all_bytes, checkpoint_bytes=0)
        self.engine.say(
            SavedUsage(
                id=asked.id,
                groups=tuple(TipUsage(own=3 * MIB, shared=2 * MIB, tokens=1024) for _ in asked.groups),
                roots=(root,) if all_bytes else (),
                budget=DEFAULT,
                disk_free=80 * GIB,
                bytes_written=GIB,
                quarantined=0,
            )
        )

    def tell_statistics(self, live: str | None = None, saved_bytes: int = 100 * MIB) -> None:
        memory = DeviceMemory(device="CPU", weights=92 * MIB, kv_reserved=180 * MIB, compute=83 * MIB)
        self.window.workspace.engine.refresh_statistics()
        self.engine.say(
            Statistics(
                id=self.engine.asked(GetStatistics)[-1].id,
                rss=0,
                ram_total=24 * GIB,
                ram_available=20 * GIB,
                devices=(),
                memory=(memory,),
                context_used=1024 if live else 0,
                context_size=4096,
                live_conversation=live,
                saved_bytes=saved_bytes,
                saved_budget=DEFAULT,
                saved_generation=1,
                busy=False,
                read_rate=100.0,
                restore_rate=10.0 * MIB,
            )
        )

    def entry(self, words: str) -> QAction:
        """The entry of the header's menu that begins so."""
        actions = self.window.header.more_button.menu().actions()
        return next(action for action in actions if action.text().startswith(words))

    def drop(self, freed: int = 3 * MIB) -> DropSaved:
        """Let the engine remove what it was asked for last."""
        asked: DropSaved = self.engine.asked(DropSaved)[-1]
        self.engine.say(SavedDropped(id=asked.id, freed_bytes=freed))
        return asked

    def choices(self) -> list[tuple[str, str, bool]]:
        """What the menu of Clear cache offers."""
        buttons = self.window.strip.clear_button.menu.buttons
        return [(b.accessibleName(), b.accessibleDescription(), b.isEnabled()) for b in buttons]

    def open_settings(self) -> SavedStateDialog:
        self.window.sidebar.saved_settings.emit()
        dialog = self.window.settings.dialog
        assert dialog is not None
        return dialog


@pytest.fixture
def saving(talking: Person) -> Saving:
    return Saving(talking)


# --- this chat --------------------------------------------------------------------------------------------------------


def test_a_chats_state_is_saved_unless_the_person_says_never(saving: Saving) -> None:
    entry = saving.entry("Save this chat's state")
    assert entry.isChecked()
    entry.trigger()
    assert set(saving.drop().tips) == {UNTOLD, TIP}
    assert saving.person.notices == [
        "This chat's state is not saved any more. 3.0 MiB were freed. Its text is untouched."
    ]
    assert not entry.isChecked()
    assert not saving.saved.may_save(saving.chat)
    assert "Hello yourself." in saving.person.shown
    saving.person.send("And now?")
    assert not saving.person.asked().save


def test_undo_lets_it_be_saved_again_also_when_another_chat_is_open(saving: Saving) -> None:
    saving.entry("Save this chat's state").trigger()
    saving.drop()
    (notice,) = saving.window.notices.notices()
    saving.window.conversations.new()
    assert notice.actions[0][0] == "Undo"
    notice.actions[0][1]()
    assert saving.saved.may_save(saving.chat)
    assert saving.person.notices[-1] == "This chat's state is saved again, from its next reply on."


def test_a_new_chat_has_nothing_to_save_yet_and_each_chat_its_own_choice(saving: Saving) -> None:
    saving.entry("Save this chat's state").trigger()
    saving.drop()
    saving.window.conversations.new()
    assert not saving.entry("Save this chat's state").isEnabled()
    assert not saving.entry("Remove this chat's saved state").isEnabled()
    saving.person.say("Another", "one.")
    assert saving.entry("Save this chat's state").isChecked()
    saving.window.conversations.open(saving.chat)
    assert not saving.entry("Save this chat's state").isChecked()


def test_without_an_engine_it_is_said_that_the_removal_waits(saving: Saving) -> None:
    saving.engine.die()
    saving.window.notices.dismiss_all()
    saving.entry("Save this chat's state").trigger()
    assert saving.person.notices[-1].startswith(
        "This chat's state is not saved any more. What there is of it is removed as soon as the engine is there."
    )
    saving.person.restart()
    saving.engine = saving.person.engine
    saving.engine.say(StoreOpened(id=saving.engine.asked(OpenStore)[-1].id, budget=DEFAULT))
    assert set(saving.drop().tips) == {UNTOLD, TIP}


def test_a_chats_saved_state_is_removed_once_and_saved_again_later(saving: Saving) -> None:
    entry = saving.entry("Remove this chat's saved state (3.0 MiB)")
    entry.trigger()
    saving.drop()
    assert saving.person.notices == ["3.0 MiB of saved state removed from the disk. Your texts are untouched."]
    assert saving.saved.may_save(saving.chat)
    saving.tell_usage()
    assert not saving.entry("Remove this chat's saved state").isEnabled()


def test_a_removal_that_fails_says_why(saving: Saving) -> None:
    saving.entry("Remove this chat's saved state").trigger()
    asked = saving.engine.asked(DropSaved)[-1]
    saving.engine.say(Failed(id=asked.id, kind="saved_state", sentence="The disk is read-only."))
    assert saving.person.notices == ["The disk is read-only."]


# --- Clear cache ------------------------------------------------------------------------------------------------------


def test_clear_cache_says_beforehand_what_each_choice_frees_and_costs(saving: Saving) -> None:
    saving.tell_statistics(live=saving.chat)
    assert saving.choices() == [
        ("Memory now: 263 MiB of RAM", "The next reply goes on from the saved state, about 0.5 s.", True),
        (
            "This chat's saved state: 3.0 MiB",
            "2.0 MiB more is shared with other chats and stays. The next reply goes on from memory.",
            True,
        ),
        (
            "This model's saved state: 100 MiB…",
            "Each chat with a is then read again, but for this one, which is in memory.",
            True,
        ),
        (
            "All saved state: 100 MiB…",
            "Each chat is then read again, but for this one, which is in memory. The texts stay.",
            True,
        ),
    ]


def test_a_chat_that_is_not_to_be_saved_would_be_read_again(saving: Saving) -> None:
    saving.saved.switch(False)
    saving.tell_statistics(live=saving.chat)
    assert saving.choices()[0][1] == "The next reply reads 1,024 tokens again, about 10 s."


def test_while_a_reply_is_written_nothing_of_it_can_be_cleared(saving: Saving) -> None:
    saving.tell_statistics(live=saving.chat)
    saving.person.send("And now?")
    assert {detail for _, detail, _ in saving.choices()} == {"A reply is being written; stop it first, or wait for it."}
    assert not any(enabled for _, _, enabled in saving.choices())
    saving.entry("Remove this chat's saved state").trigger()
    assert saving.person.notices == ["A reply is being written; stop it first, or wait for it."]
    assert not saving.engine.asked(DropSaved)


def test_all_saved_state_goes_only_after_a_second_word(saving: Saving) -> None:
    saving.tell_statistics()
    strip, window = saving.window.strip, saving.window

    def answer(button: str) -> None:
        strip.clear_button.menu.buttons[3].click()
        box = window.findChildren(QMessageBox)[-1]
        assert "cannot be undone" in box.informativeText()
        assert "texts stay" in box.informativeText()
        assert box.text() == "Remove all saved state, 100 MiB?"
        next(each for each in box.buttons() if each.text() == button).click()

    answer("Keep it")
    assert not saving.engine.asked(ClearSaved)
    answer("Remove all saved state")
    (asked,) = saving.engine.asked(ClearSaved)
    assert asked.roots is None
    saving.engine.say(SavedDropped(id=asked.id, freed_bytes=100 * MIB))
    assert saving.person.notices == ["100 MiB of saved state removed from the disk. Your texts are untouched."]
    assert "Hello yourself." in saving.person.shown


def test_the_state_of_the_loaded_model_goes_after_a_second_word_and_the_gauge_falls_at_once(saving: Saving) -> None:
    saving.tell_statistics()
    saving.window.strip.clear_button.menu.buttons[2].click()
    box = saving.window.findChildren(QMessageBox)[-1]
    assert box.text() == "Remove the saved state of a, 100 MiB?"
    next(each for each in box.buttons() if each.text() == "Remove the saved state of a").click()
    (asked,) = saving.engine.asked(ClearSaved)
    assert asked.roots == (ROOT,)
    questions = len(saving.engine.asked(GetSavedUsage))
    saving.engine.say(SavedDropped(id=asked.id, freed_bytes=100 * MIB))
    assert len(saving.engine.asked(GetSavedUsage)) == questions + 1
    saving.tell_usage(0)
    assert saving.window.strip.saved.reading().figures == ("0 B",)
    assert saving.choices()[2] == ("This model's saved state", "Nothing of this model is saved.", False)


def test_a_reply_that_began_while_it_was_asked_refuses_the_removal(saving: Saving) -> None:
    saving.tell_statistics()
    saving.window.strip.clear_button.menu.buttons[2].click()
    box = saving.window.findChildren(QMessageBox)[-1]
    saving.person.send("And now?")
    next(each for each in box.buttons() if each.text().startswith("Remove")).click()
    assert saving.person.notices == ["A reply is being written; stop it first, or wait for it."]
    assert not saving.engine.asked(ClearSaved)


def test_another_models_state_is_not_this_models(saving: Saving) -> None:
    saving.person.load("/models/b.gguf")
    saving.tell_statistics()
    assert saving.choices()[2] == ("This model's saved state", "Nothing of this model is saved.", False)
    assert saving.choices()[3][0] == "All saved state: 100 MiB…"


def test_the_button_itself_gives_memory_back(saving: Saving) -> None:
    saving.tell_statistics(live=saving.chat)
    saving.window.strip.clear_button.main.click()
    assert len(saving.engine.asked(ClearCache)) == 1


# --- the gauge --------------------------------------------------------------------------------------------------------


def test_the_gauge_tells_own_shared_all_budget_and_the_room_on_the_disk(saving: Saving) -> None:
    saving.tell_statistics()
    reading = saving.window.strip.saved.reading()
    assert reading.figures[0] == "100 MiB of 7.7 GiB"
    parts = {part.name: part.value for part in reading.segments}
    assert parts["this chat alone"] == 3 * MIB
    assert parts["this chat, shared with others"] == 2 * MIB
    assert parts["other chats"] == 95 * MIB
    assert "The disk has 80 GiB free." in reading.sentence


def test_gauge_and_account_never_disagree(saving: Saving) -> None:
    saving.tell_statistics(saved_bytes=200 * MIB)
    assert saving.window.strip.saved.reading().figures[0] == "100 MiB of 7.7 GiB"
    saving.tell_usage(200 * MIB)
    assert saving.window.strip.saved.reading().figures[0] == "200 MiB of 7.7 GiB"


def test_while_the_engine_is_down_nothing_is_known_of_what_is_saved(saving: Saving) -> None:
    saving.engine.die()
    assert saving.window.strip.saved.reading().lines[0] == "Not known just now"
    unknown = "What is saved is not known just now; wait a moment."
    assert [detail for _, detail, _ in saving.choices()][1] == unknown
    assert saving.choices()[3] == ("All saved state", unknown, False)


def test_the_gauge_follows_the_persons_choices_at_once(saving: Saving) -> None:
    saving.tell_statistics()
    saving.entry("Save this chat's state").trigger()
    assert saving.window.strip.saved.reading().lines[0].startswith("this chat not saved")
    dialog = saving.open_settings()
    dialog.switch.setChecked(False)
    dialog.accept()
    assert saving.window.strip.saved.reading().lines[0] == "Saving is off · what is saved stays"


# --- the settings -----------------------------------------------------------------------------------------------------


def test_the_settings_show_what_there_is(saving: Saving) -> None:
    saving.person.qtbot.keyClick(saving.window, Qt.Key.Key_Comma, Qt.KeyboardModifier.ControlModifier)
    dialog = saving.window.settings.dialog
    assert dialog is not None
    assert dialog.switch.isChecked()
    assert dialog.budget.text() == "7.66 GiB"
    assert dialog.default_line.text() == "Default: 7.7 GiB (a tenth of what the disk had free at first)."
    assert (dialog.used.text(), dialog.written.text(), dialog.free.text()) == (
        "100 MiB of 7.7 GiB",
        "0 B today, 1.0 GiB ever",
        "80 GiB",
    )
    assert dialog.budget.accessibleName()


def test_saving_is_switched_off_only_when_the_settings_are_saved(saving: Saving) -> None:
    dialog = saving.open_settings()
    dialog.switch.setChecked(False)
    assert (
        dialog.off.text()
        == "Nothing is written any more. The 100 MiB that are saved stay, unused, until you clear them."
    )
    dialog.reject()
    assert saving.saved.is_on
    dialog = saving.open_settings()
    assert dialog.switch.isChecked()
    dialog.switch.setChecked(False)
    dialog.accept()
    saving.person.send("And now?")
    assert not saving.person.asked().save
    assert not saving.engine.asked(DropSaved)


def test_save_is_offered_only_where_there_is_something_to_save(saving: Saving) -> None:
    dialog = saving.open_settings()
    assert dialog.save.isVisible() and not dialog.leave.isVisible()
    dialog.tabs.setCurrentWidget(dialog.chats)
    assert dialog.leave.isVisible() and not dialog.save.isVisible() and not dialog.cancel.isVisible()
    dialog.switch.toggle()
    assert dialog.save.isVisible() and dialog.cancel.isVisible() and not dialog.leave.isVisible()
    dialog.switch.toggle()
    dialog.leave.click()
    assert not dialog.isVisible()


def test_a_budget_that_nobody_touched_stays_the_default(saving: Saving) -> None:
    asked = len(saving.engine.asked(OpenStore))
    saving.open_settings().accept()
    assert len(saving.engine.asked(OpenStore)) == asked
    assert saving.saved.chosen_budget is None


def test_another_budget_is_kept_and_the_default_is_still_known(saving: Saving) -> None:
    dialog = saving.open_settings()
    dialog.budget.setValue(2.5)
    dialog.accept()
    request = saving.engine.asked(OpenStore)[-1]
    assert request.budget == round(2.5 * GIB)
    saving.engine.say(StoreOpened(id=request.id, budget=request.budget))
    dialog = saving.open_settings()
    assert dialog.budget.text() == "2.50 GiB"
    dialog.to_default.click()
    assert dialog.budget.text() == "7.66 GiB"
    dialog.accept()
    assert saving.engine.asked(OpenStore)[-1].budget is None


def test_a_budget_below_what_is_saved_says_what_will_go(saving: Saving) -> None:
    saving.tell_usage(300 * MIB)
    dialog = saving.open_settings()
    assert not dialog.too_small.text()
    dialog.budget.setValue(0.1)
    assert dialog.budget.text() == "0.25 GiB"
    assert dialog.too_small.text() == "44 MiB of what was used longest ago will be removed."


@pytest.mark.parametrize(
    ("damaged", "finished", "words"),
    [
        (0, True, "1,200 parts, 4.0 MiB: all are sound."),
        (1, True, "1,200 parts, 4.0 MiB: 1 was damaged and set aside. What they held is read again from the text."),
        (0, False, "Stopped after 1,200 parts, 4.0 MiB: all are sound."),
    ],
)
def test_the_check_shows_its_progress_and_what_it_found(
    damaged: int, finished: bool, words: str, saving: Saving
) -> None:
    dialog = saving.open_settings()
    dialog.check.click()
    check = saving.engine.asked(VerifySaved)[-1].id
    saving.engine.say(VerifyProgress(id=check, done=300, total=1200))
    assert dialog.stop.isVisible()
    assert (dialog.progress.value(), dialog.progress.maximum()) == (300, 1200)
    if not finished:
        dialog.stop.click()
        assert saving.engine.asked(Cancel)[-1].request == check
    saving.engine.say(SavedVerified(id=check, chunks=1200, bytes=4 * MIB, damaged=damaged, finished=finished))
    assert dialog.outcome.text() == words
    assert dialog.check.isVisible()


def test_settings_that_are_closed_stop_their_check(saving: Saving) -> None:
    dialog = saving.open_settings()
    dialog.check.click()
    check = saving.engine.asked(VerifySaved)[-1].id
    dialog.reject()
    assert saving.engine.asked(Cancel)[-1].request == check
    saving.engine.say(SavedVerified(id=check, chunks=1, bytes=1, damaged=0, finished=False))
    assert saving.window.settings.dialog is None


def test_a_check_whose_engine_dies_says_so(saving: Saving) -> None:
    dialog = saving.open_settings()
    dialog.check.click()
    saving.engine.die()
    assert dialog.outcome.text()
    assert dialog.check.isVisible()


# --- the mode ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("full", "each of its branches goes on where it was"),
        ("window", "looks back through a window"),
        ("hybrid", "cannot go back; Ember keeps a snapshot at the last turns"),
        ("recurrent", "cannot go back; Ember keeps a snapshot at the last turns"),
        ("opaque", "as a whole at the end of each turn"),
    ],
)
def test_the_pill_says_how_the_models_state_is_saved(mode: MemoryMode, words: str, person: Person) -> None:
    person.load(memory_mode=mode)
    pill = person.window.header.pill
    assert words in pill.toolTip()
    assert words in pill.accessibleDescription()
    pill.menu().aboutToShow.emit()
    assert wording.MODES[mode][0] in [action.text() for action in pill.menu().actions()]
    assert any(words in notice for notice in person.notices) == (mode in ("hybrid", "recurrent", "opaque"))
    person.window.header.unload.emit()
    assert words not in pill.toolTip()
