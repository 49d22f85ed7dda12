"""A person keeps, forgets and clears saved state in the real window, and a script asks the window about it."""

from contextlib import suppress
from pathlib import Path

import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMessageBox

from app.core.units import format_count
from app.gui.saved_shares_model import Share
from app.gui.saved_shares_page import SharesPage
from tests.end2end.conftest import REPLY_MS, Ember, Start, use_greedy
from tests.support.command import PATIENCE, Argument, Outcome, begin
from tests.support.tiny_models import Kind, make

INSTRUCTIONS = "You are a patient teacher who answers in short and simple sentences. " * 4


@pytest.fixture
def tiny_ember(start: Start, tmp_path: Path) -> Ember:
    """The app with a tiny model, two chats with the same instructions, and the state of both saved."""
    ember = start(make(Kind.FULL, tmp_path / "tiny.gguf"))
    ember.wait_for_model()
    use_greedy(ember, max_tokens=12)
    for text in ("Name a colour.", "Name a river."):
        ember.window.conversations.new()
        ember.window.chat.set_instructions(INSTRUCTIONS)
        say(ember, text)
    wait_for_gauge(ember)
    return ember


def say(ember: Ember, text: str) -> None:
    """A turn, its state saved."""
    with ember.qtbot.waitSignal(ember.workspace.chats.turn_saved, timeout=REPLY_MS):
        ember.type(text)
        ember.press_send()


def files(ember: Ember) -> list[Path]:
    return list((ember.workspace.data_dir.kv / "chunks").rglob("*.chunk"))


def on_disk(ember: Ember) -> int:
    """Bytes of the chunks, also while the engine removes some."""
    size = 0
    for path in files(ember):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


def in_gauge(ember: Ember) -> tuple[int, int, int]:
    """Bytes as the gauge shows them: this chat's own, what it shares, the other chats'."""
    parts = {part.name: int(part.value) for part in ember.window.strip.saved.reading().segments}
    own = parts.get("this chat alone", 0) + parts.get("this chat", 0)
    return own, parts.get("this chat, shared with others", 0), parts.get("other chats", 0)


def wait_for_gauge(ember: Ember) -> None:
    """Until the gauge shows what lies on the disk; by itself the account waits the longer the busier it is."""
    ember.workspace.saved.refresh()
    ember.qtbot.waitUntil(lambda: sum(in_gauge(ember)) == on_disk(ember), timeout=10_000)
    settle = ember.workspace.saved
    ember.qtbot.waitUntil(
        lambda: settle.usage is not None and sum(root.bytes for root in settle.usage.roots) == on_disk(ember),
        timeout=10_000,
    )


def entry(ember: Ember, words: str) -> QAction:
    actions = ember.window.header.more_button.menu().actions()
    return next(action for action in actions if action.text().startswith(words))


def told(ember: Ember, words: str) -> None:
    """Wait for a notice that has these words."""
    ember.qtbot.waitUntil(
        lambda: any(words in notice.text for notice in ember.window.notices.notices()), timeout=10_000
    )


@pytest.mark.qt_log_ignore("^This plugin does not support", extend=True)
def test_a_chat_is_never_saved_and_again_and_everything_is_cleared(tiny_ember: Ember) -> None:
    ember = tiny_ember
    own, shared, others = in_gauge(ember)
    assert own > 0 and shared > 0 and others > 0

    entry(ember, "Save this chat's state").trigger()
    told(ember, "is not saved any more")
    assert on_disk(ember) == shared + others
    wait_for_gauge(ember)
    say(ember, "And another?")
    assert on_disk(ember) == shared + others
    entry(ember, "Save this chat's state").trigger()
    say(ember, "And now?")
    assert on_disk(ember) > own + shared + others

    wait_for_gauge(ember)
    before = on_disk(ember)
    ember.window.strip.clear_button.menu.buttons[3].click()
    box = ember.window.findChild(QMessageBox)
    assert box is not None
    next(button for button in box.buttons() if button.text() == "Remove all saved state").click()
    told(ember, "of saved state removed from the disk")
    assert files(ember) == []
    ember.qtbot.waitUntil(lambda: ember.window.strip.saved.reading().figures == ("0 B",), timeout=10_000)
    assert before > 0
    assert "Name a river." in ember.shown
    say(ember, "Still there?")  # saved anew, as a whole
    assert on_disk(ember) > own


@pytest.mark.qt_log_ignore("^This plugin does not support", extend=True)
def test_the_cache_page_tells_the_truth_and_a_pinned_chat_outlives_the_budget(tiny_ember: Ember, start: Start) -> None:
    ember = tiny_ember
    own, shared, _ = in_gauge(ember)
    page = open_chats(ember)
    river, colour = sorted(shares(page), key=lambda share: -share.used)
    assert (river.own, river.shared) == (own, shared)
    assert own + shared + colour.own == on_disk(ember)

    page.model.ticked.emit("pin", colour.key, True)
    ember.qtbot.waitUntil(lambda: ember.workspace.saved.pinned_bytes == colour.own + colour.shared, timeout=10_000)
    ember.workspace.saved.set_budget(1)
    ember.qtbot.waitUntil(lambda: "The pinned chats take" in page.warning.text(), timeout=10_000)
    ember.close()

    again = start(None)  # the other chat was kept as the one in memory, which is over
    page = open_chats(again)
    again.qtbot.waitUntil(lambda: on_disk(again) == colour.own + colour.shared, timeout=10_000)
    again.workspace.saved.refresh()
    again.qtbot.waitUntil(lambda: sum(share.own for share in shares(page)) == on_disk(again), timeout=10_000)
    (kept,) = [share for share in shares(page) if share.own]
    assert (kept.key, kept.is_pinned, kept.shared) == (colour.key, True, 0)
    page.table.selectRow(page.model.row_of(kept.key))
    page.clear.click()
    question = again.window.findChildren(QMessageBox)[-1]
    assert f"{format_count(kept.tokens)} tokens again" in question.informativeText()
    next(button for button in question.buttons() if button.text() == "Remove").click()
    again.qtbot.waitUntil(lambda: not files(again), timeout=10_000)
    again.qtbot.waitUntil(lambda: "Your texts are untouched." in page.outcome.text(), timeout=10_000)


def open_chats(ember: Ember) -> SharesPage:
    """The table of the chats in the settings."""
    ember.window.settings.open()
    dialog = ember.window.settings.dialog
    assert dialog is not None
    dialog.tabs.setCurrentWidget(dialog.chats)
    return dialog.chats


def shares(page: SharesPage) -> list[Share]:
    found = (page.model.share(row) for row in range(page.model.rowCount()))
    return [share for share in found if share is not None]


def test_scripts_ask_the_open_window(tiny_ember: Ember) -> None:
    ember = tiny_ember
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    own, _, _ = in_gauge(ember)

    def run(*arguments: Argument) -> Outcome:
        process = begin(*arguments, "--data-dir", ember.workspace.data_dir.root)
        ember.qtbot.waitUntil(lambda: process.poll() is not None, timeout=1000 * PATIENCE)
        out, err = process.communicate()
        return Outcome(process.returncode, out.decode(), err.decode())

    report = run("cache", "--json").line
    assert report["bytes"] == on_disk(ember)
    assert next(chat for chat in report["conversations"] if chat["id"] == conversation)["own_bytes"] == own
    checked = run("cache", "verify")
    assert (checked.status, checked.out.endswith("all are sound.\n")) == (0, True)
    before = on_disk(ember)
    cleared = run("cache", "clear", "--conversation", conversation[:8], "--json")
    assert cleared.line == {"would_free_bytes": own, "freed_bytes": own}
    assert on_disk(ember) == before - own
    wait_for_gauge(ember)
    assert in_gauge(ember)[0] == 0
    ember.type("Tell me everything.")
    ember.workspace.chats.ask = ember.ask  # type: ignore[method-assign]  # without a limit
    ember.press_send()
    ember.wait_for_words()
    busy = run("cache", "clear", "--all")
    assert (busy.status, busy.err) == (
        1,
        "A reply is being written in Ember's window; stop it first, or wait for it.\n",
    )
    with ember.qtbot.waitSignal(ember.workspace.chats.turn_saved, timeout=REPLY_MS):
        ember.workspace.chats.stop()
    refused = run("send", "Hi")
    assert (refused.status, "Ember is open on" in refused.err) == (1, True)
    assert run("cache", "clear", "--all").status == 0
    assert files(ember) == []
    assert ember.window.isVisible()
