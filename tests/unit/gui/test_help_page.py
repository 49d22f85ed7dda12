"""The help page: what is kept, in plain words, with the open chat's own figures and a picture."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QScrollArea, QWidget
from pytestqt.qtbot import QtBot

from app.core.conversation import Message, MessageId
from app.core.turn import Reread, TokenCounts, TurnFigures, TurnSeconds
from app.gui import help_page, theme
from app.gui.help_feed import prompt_parts
from app.gui.help_page import HelpFigures, HelpPage
from app.gui.help_picture import BAR, LINE, MOST_PARTS, Part, PromptPicture, bars, example, row, shortened
from tests.unit.gui.test_saved_window import MIB, Saving, saving  # noqa: F401
from tests.unit.storage.made import CHAT

PARTS = (Part("instructions", 400), Part("you", 60), Part("model", 200), Part("you", 40), Part("model", 100))
FULL = HelpFigures(
    parts=PARTS,
    in_memory=800,
    bytes_per_token=23_040,
    own=60 * MIB,
    shared=9 * MIB,
    saved=800,
    read_rate=160.0,
    restore_rate=400.0 * MIB,
    last=TurnFigures(
        TokenCounts(prompt=700, reused_memory=660, evaluated=40, generated=100),
        TurnSeconds(prefill=0.2, total=2.0),
        reread=Reread(660, "The message was edited."),
    ),
    mode="full",
)


@pytest.fixture
def window(qtbot: QtBot) -> QWidget:
    made = QWidget()
    qtbot.addWidget(made)
    made.resize(1000, 800)
    made.show()
    return made


# --- the words --------------------------------------------------------------------------------------------------------


def test_the_page_says_this_chats_own_figures(window: QWidget) -> None:
    text = help_page.open(window, FULL).text()
    assert "with this model a thousand tokens take 22 MiB of memory" in text
    assert "In memory: 800 tokens, 18 MiB." in text
    assert "On the disk: 800 tokens, 60 MiB of its own and 9.0 MiB that other chats use too." in text
    assert "Opening it from the disk takes about 0.2 s; reading it again would take about 5.0 s." in text
    assert "The last turn: Of 700 tokens, 660 were still in memory and 40 were read in 0.2 s." in text
    assert "The message was edited." in text
    assert "saved word by word" in text


def test_without_a_chat_it_explains_by_an_example(window: QWidget) -> None:
    page = help_page.open(window, HelpFigures())
    assert "No chat is open" in page.text()
    assert "The picture shows an example" in page.text()
    assert page.picture.accessibleDescription()


def test_a_chat_of_which_nothing_is_kept_says_so(window: QWidget) -> None:
    text = help_page.open(window, HelpFigures(parts=PARTS)).text()
    assert "In memory: nothing of this chat just now." in text
    assert "On the disk: nothing of this chat is saved." in text
    assert "Opening it" not in text


def test_every_word_can_be_selected_by_mouse_and_keyboard(window: QWidget) -> None:
    for label in help_page.open(window, FULL).findChildren(QLabel):
        assert label.textFormat() == Qt.TextFormat.PlainText
        assert label.textInteractionFlags() & Qt.TextInteractionFlag.TextSelectableByMouse
        assert label.textInteractionFlags() & Qt.TextInteractionFlag.TextSelectableByKeyboard


def test_a_narrow_page_scrolls_down_and_never_sideways(window: QWidget, qtbot: QtBot) -> None:
    page = help_page.open(window, FULL)
    page.resize(page.minimumSize())
    scroll = page.findChild(QScrollArea)
    assert scroll is not None
    qtbot.waitUntil(lambda: scroll.verticalScrollBar().maximum() > 0)
    assert scroll.widget().width() <= scroll.viewport().width()


# --- the picture ------------------------------------------------------------------------------------------------------


def test_a_follow_up_keeps_all_an_edit_what_is_before_it_and_other_instructions_nothing() -> None:
    follow_up, edit, instructions = bars(PARTS)
    assert (follow_up.tokens("kept"), follow_up.tokens("read")) == (800, 40)
    assert (edit.tokens("kept"), edit.tokens("read"), edit.tokens("left")) == (660, 40, 100)
    assert (instructions.tokens("kept"), instructions.tokens("read")) == (0, 800)
    assert edit.words == "660 kept · 40 read"


def test_a_long_chat_is_drawn_in_few_parts_with_the_same_sum() -> None:
    long = (Part("instructions", 10), *[Part("you", 1), Part("model", 2)] * 50)
    few = shortened(long)
    assert len(few) == MOST_PARTS
    assert sum(part.tokens for part in few) == sum(part.tokens for part in long)
    assert [part.speaker for part in few[:2]] == ["instructions", "earlier"]
    assert few[-1] == long[-1]


def test_the_picture_says_in_words_what_it_shows(window: QWidget) -> None:
    description = PromptPicture(bars(PARTS), window).accessibleDescription()
    assert "You edit your last message: 660 kept · 40 read." in description


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_kept_parts_are_painted_in_the_colour_of_what_is_kept(mode: theme.Preference, window: QWidget) -> None:
    theme.set_preference(mode)
    picture = PromptPicture(bars(example()), window)
    picture.resize(600, picture.sizeHint().height())
    image = picture.grab().toImage()
    follow_up, instructions = (image.pixelColor(20, number * row() + LINE + BAR // 2) for number in (0, 2))
    assert follow_up == theme.color("kv_used")
    assert instructions != theme.color("kv_used")


# --- from the window --------------------------------------------------------------------------------------------------


def reply(number: int, prompt: int, generated: int) -> Message:
    figures = TurnFigures(TokenCounts(prompt=prompt, generated=generated))
    return Message(MessageId(str(number)), CHAT, None, "assistant", "text", figures=figures)


def question(number: int) -> Message:
    return Message(MessageId(str(number)), CHAT, None, "user", "text")


def test_the_parts_of_a_chat_come_from_the_figures_of_its_turns() -> None:
    path = [question(1), reply(2, 460, 200), question(3), reply(4, 700, 100)]
    assert prompt_parts(path, 400) == PARTS


def test_a_reply_that_failed_and_turns_without_figures_are_left_out() -> None:
    broken = Message(MessageId("9"), CHAT, None, "assistant", "", error="It broke.")
    assert prompt_parts([question(1), broken], 10) == ()
    assert prompt_parts([], 0) == ()


@pytest.mark.parametrize("way", ["F1", "header", "gear"])
def test_it_opens_from_the_menus_and_by_f1_with_the_open_chat(saving: Saving, way: str) -> None:  # noqa: F811
    saving.tell_statistics(live=saving.chat)
    if way == "F1":
        QTest.keyClick(saving.window, Qt.Key.Key_F1)
    elif way == "header":
        saving.entry("What is kept?").trigger()
    else:
        saving.window.sidebar.help_requested.emit()
    (page,) = saving.window.findChildren(HelpPage)
    assert "On the disk: 1,024 tokens, 3.0 MiB of its own and 2.0 MiB that other chats use too." in page.text()
    assert "In memory: 1,024 tokens" in page.text()


def test_opening_it_again_shows_the_figures_of_now_once(saving: Saving) -> None:  # noqa: F811
    first = saving.window.help.open()
    assert "nothing of this chat just now" in first.text()
    saving.tell_statistics(live=saving.chat)
    second = saving.window.help.open()
    assert not first.isVisible()
    assert "In memory: 1,024 tokens" in second.text()
