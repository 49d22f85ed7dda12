"""Other versions of messages, other branches and more of a reply, in the whole window with a scripted engine."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication

from app.core.conversation import Message
from app.core.turn import FinishReason, TokenCounts, TurnFigures
from app.gui import wording
from app.gui.transcript.action_row import ActionRow
from app.protocol.answers import Done, Failed, PromptProgress, Text
from app.protocol.requests import Generate
from tests.unit.gui.person import Person
from tests.unit.gui.test_window import actions
from tests.unit.services.fakes import CRASHED

ALT = Qt.KeyboardModifier.AltModifier


@pytest.fixture
def chatting(talking: Person) -> Person:
    """Two questions, both answered."""
    talking.say("First?", "One.", prompt=100, generated=10)
    talking.say("Second?", "Two.", prompt=200, generated=10)
    return talking


@pytest.fixture
def edited(chatting: Person) -> Person:
    """The first of the two questions edited and answered: a chat with two branches from its beginning."""
    edit(chatting, 0)
    chatting.send("Rather this?")
    finish(chatting, "Gladly.")
    return chatting


def path(person: Person) -> list[Message]:
    """The messages of the branch that is stored as shown."""
    conversation = person.window.chat.conversation_id
    assert conversation is not None
    return person.window.workspace.store.tree(conversation).path()


def stored(person: Person) -> list[str]:
    return [message.text for message in path(person)]


def on_page(person: Person) -> list[str]:
    """The messages that the transcript shows."""
    return [entry.text for entry in person.window.transcript._page.entries]


def draft(person: Person) -> str:
    """The open chat's own draft, as stored."""
    conversation = person.window.chat.conversation_id
    assert conversation is not None
    return person.window.workspace.store.get(conversation).draft


def act(person: Person, at: int, action: str) -> None:
    """Choose an action of the message at a place."""
    person.window.transcript.trigger(person.window.transcript.message_ids()[at], action)


def edit(person: Person, at: int) -> None:
    act(person, at, "edit")


def aim(person: Person) -> str:
    """What the line over the message says; nothing while it does not show."""
    line = person.composer.aim_line
    return line.sentence.text() if line.isVisible() else ""


def used(person: Person) -> int:
    """The tokens that come before what is written."""
    budget = person.window.chat.budget()
    assert budget is not None
    return budget.used


def turns(person: Person) -> list[Generate]:
    asked: list[Generate] = person.engine.asked(Generate)
    return asked


def stream(person: Person, text: str) -> None:
    """The next piece of the reply that runs."""
    person.engine.say(Text(id=person.asked().id, text=text, token_ids=(7,)))


def finish(person: Person, text: str, reason: FinishReason = "stop", *, read: int = 5) -> None:
    """The end of the reply that runs."""
    asked = person.asked()
    person.engine.say(
        Done(
            id=asked.id,
            conversation=asked.conversation,
            text=text,
            token_ids=(1, 2),
            prompt_ids={},
            finish_reason=reason,
            figures=TurnFigures(TokenCounts(prompt=45 + read, reused_memory=30, reused_saved=15, evaluated=read)),
        )
    )


def step(person: Person, at: int, by: int) -> None:
    """Go to another variant of the message at a place, with the keyboard."""
    transcript = person.window.transcript
    transcript.setFocus()
    while transcript.focused_message != transcript.message_ids()[at]:
        here = transcript.message_ids().index(transcript.focused_message) if transcript.focused_message else at + 1
        person.qtbot.keyClick(transcript, Qt.Key.Key_Up if here > at else Qt.Key.Key_Down, ALT)
    person.qtbot.keyClick(transcript, Qt.Key.Key_Left if by < 0 else Qt.Key.Key_Right, ALT)


def variant(person: Person, at: int) -> str:
    """Which variant of the message at a place shows."""
    message = person.window.transcript._page.entries[at].message
    return f"{message.variant}/{message.variants}"


# --- editing ----------------------------------------------------------------------------------------------------------


def test_every_message_of_the_persons_can_be_edited(chatting: Person) -> None:
    assert [actions(chatting, at) for at in (0, 2)] == [("copy", "edit"), ("copy", "edit")]


def test_an_edited_message_is_answered_in_a_branch_of_its_own(chatting: Person) -> None:
    edit(chatting, 0)
    assert aim(chatting) == "Editing your message. The old one stays as a variant."
    assert chatting.composer.draft() == "First?"
    assert chatting.composer.edit.hasFocus()
    chatting.send("Rather this?")
    assert [message.text for message in chatting.asked().messages] == ["Rather this?"]
    assert aim(chatting) == ""
    assert chatting.composer.draft() == ""
    finish(chatting, "Gladly.")
    assert stored(chatting) == on_page(chatting) == ["Rather this?", "Gladly."]
    assert variant(chatting, 0) == "2/2"
    step(chatting, 0, -1)
    assert stored(chatting) == on_page(chatting) == ["First?", "One.", "Second?", "Two."]


def test_up_in_an_empty_message_edits_the_last_one(chatting: Person) -> None:
    chatting.qtbot.keyClick(chatting.composer.edit, Qt.Key.Key_Up)
    assert chatting.composer.draft() == "Second?"
    chatting.send("Third?")
    assert [message.text for message in chatting.asked().messages] == ["First?", "One.", "Third?"]


def test_up_in_a_message_that_is_begun_moves_the_cursor(chatting: Person) -> None:
    chatting.composer.set_draft("half")
    chatting.qtbot.keyClick(chatting.composer.edit, Qt.Key.Key_Up)
    assert chatting.composer.draft() == "half"


@pytest.mark.parametrize("how", ["escape", "the button"])
def test_a_cancelled_edit_brings_back_the_draft(chatting: Person, how: str) -> None:
    chatting.composer.set_draft("half a thought")
    edit(chatting, 2)
    assert chatting.composer.draft() == "Second?"
    if how == "escape":
        chatting.qtbot.keyClick(chatting.composer.edit, Qt.Key.Key_Escape)
    else:
        chatting.composer.aim_line.button.click()
    assert chatting.composer.draft() == draft(chatting) == "half a thought"
    assert aim(chatting) == ""
    assert chatting.notices == []
    assert stored(chatting) == ["First?", "One.", "Second?", "Two."]


def test_changes_of_a_cancelled_edit_can_be_brought_back(chatting: Person) -> None:
    edit(chatting, 2)
    chatting.composer.set_draft("Second, changed")
    chatting.qtbot.keyClick(chatting.composer.edit, Qt.Key.Key_Escape)
    (notice,) = chatting.window.notices.notices()
    notice.actions[0][1]()
    assert chatting.composer.draft() == "Second, changed"
    assert aim(chatting) == wording.EDITING.sentence


def test_a_sent_edit_brings_back_the_draft(chatting: Person) -> None:
    chatting.composer.set_draft("half a thought")
    edit(chatting, 2)
    chatting.send("Rather this?")
    assert chatting.composer.draft() == draft(chatting) == "half a thought"


def test_an_edit_and_the_draft_beneath_it_are_kept_when_the_app_is_closed(chatting: Person) -> None:
    chatting.composer.set_draft("half a thought")
    edit(chatting, 2)
    chatting.composer.set_draft("Second, changed")
    chatting.window.chat.store_draft()  # as half a second later, and at closing
    conversation = chatting.window.chat.conversation_id
    assert conversation is not None
    assert draft(chatting) == "half a thought"
    chatting.window.conversations.new()
    assert (aim(chatting), chatting.composer.draft()) == ("", "")
    chatting.window.conversations.open(conversation)
    assert (aim(chatting), chatting.composer.draft()) == (wording.EDITING.sentence, "Second, changed")
    chatting.qtbot.keyClick(chatting.composer.edit, Qt.Key.Key_Escape)
    assert chatting.composer.draft() == "half a thought"


def test_editing_another_message_instead_keeps_the_draft(chatting: Person) -> None:
    chatting.composer.set_draft("half a thought")
    edit(chatting, 2)
    edit(chatting, 0)
    assert chatting.composer.draft() == "First?"
    chatting.qtbot.keyClick(chatting.composer.edit, Qt.Key.Key_Escape)
    assert chatting.composer.draft() == "half a thought"


def test_what_is_left_for_an_edit_counts_from_its_place(chatting: Person) -> None:
    left = chatting.composer.tokens.text()
    edit(chatting, 0)
    assert used(chatting) == 0
    chatting.qtbot.keyClick(chatting.composer.edit, Qt.Key.Key_Escape)
    assert chatting.composer.tokens.text() == left
    edit(chatting, 2)
    assert used(chatting) == 110


def test_an_edit_that_does_not_fit_comes_back_as_an_edit(chatting: Person) -> None:
    chatting.composer.set_draft("half a thought")
    edit(chatting, 2)
    chatting.send("Far too long")
    chatting.fail("context_full", "It does not fit.")
    assert stored(chatting) == on_page(chatting) == ["First?", "One.", "Second?", "Two."]
    assert (aim(chatting), chatting.composer.draft()) == (wording.EDITING.sentence, "Far too long")
    chatting.qtbot.keyClick(chatting.composer.edit, Qt.Key.Key_Escape)
    assert chatting.composer.draft() == draft(chatting) == "half a thought"


def test_an_edit_that_waits_stands_in_its_place_and_can_be_taken_back(chatting: Person) -> None:
    first = chatting.window.chat.conversation_id
    assert first is not None
    chatting.window.conversations.new()
    chatting.send("Another chat first")
    chatting.window.conversations.open(first)
    chatting.composer.set_draft("half a thought")
    edit(chatting, 2)
    chatting.send("Rather this?")
    assert on_page(chatting) == ["First?", "One.", "Rather this?"]
    assert chatting.composer.draft() == "half a thought"
    chatting.composer.take_back_button.click()
    assert on_page(chatting) == ["First?", "One.", "Second?", "Two."]
    assert (aim(chatting), chatting.composer.draft()) == (wording.EDITING.sentence, "Rather this?")
    chatting.composer.button.click()
    finish(chatting, "Done")
    finish(chatting, "Gladly.")
    assert stored(chatting) == on_page(chatting) == ["First?", "One.", "Rather this?", "Gladly."]
    assert chatting.composer.draft() == draft(chatting) == "half a thought"


def test_escape_during_a_reply_stops_it_and_leaves_the_edit(chatting: Person) -> None:
    chatting.send("Third?")
    edit(chatting, 0)
    chatting.qtbot.keyClick(chatting.composer.edit, Qt.Key.Key_Escape)
    assert aim(chatting) == wording.EDITING.sentence
    finish(chatting, "Th", "cancelled")
    assert chatting.composer.draft() == "First?"


# --- branching --------------------------------------------------------------------------------------------------------


def test_the_next_message_follows_the_reply_that_was_branched_from(chatting: Person) -> None:
    assert "branch" in actions(chatting, 1)
    act(chatting, 1, "branch")
    assert stored(chatting) == on_page(chatting) == ["First?", "One."]
    assert aim(chatting) == "A new branch begins here. The old one stays."
    assert chatting.composer.edit.hasFocus()
    chatting.send("Or else?")
    assert aim(chatting) == ""
    finish(chatting, "Else.")
    assert on_page(chatting) == ["First?", "One.", "Or else?", "Else."]
    assert variant(chatting, 2) == "2/2"
    step(chatting, 2, -1)
    assert stored(chatting) == ["First?", "One.", "Second?", "Two."]


def test_the_last_reply_offers_no_branch_as_the_next_message_follows_it_anyway(chatting: Person) -> None:
    assert actions(chatting, 3) == ("copy", "regenerate")
    chatting.send("Third?")
    assert actions(chatting, 3) == ("copy", "regenerate", "branch")


@pytest.mark.parametrize("how", ["escape", "the button"])
def test_branching_can_be_undone(chatting: Person, how: str) -> None:
    act(chatting, 1, "branch")
    if how == "escape":
        chatting.qtbot.keyClick(chatting.composer.edit, Qt.Key.Key_Escape)
    else:
        chatting.composer.aim_line.button.click()
    assert stored(chatting) == on_page(chatting) == ["First?", "One.", "Second?", "Two."]
    assert aim(chatting) == ""


def test_undo_goes_back_to_the_branch_that_was_shown(edited: Person) -> None:
    edited.say("More?", "More.")
    step(edited, 0, -1)
    act(edited, 1, "branch")
    edited.composer.aim_line.button.click()
    assert on_page(edited) == ["First?", "One.", "Second?", "Two."]


def test_a_branch_that_was_begun_is_said_after_a_restart_and_the_rest_can_be_shown(chatting: Person) -> None:
    act(chatting, 1, "branch")
    conversation = chatting.window.chat.conversation_id
    assert conversation is not None
    chatting.window.conversations.new()
    assert aim(chatting) == ""
    chatting.window.conversations.open(conversation)
    assert on_page(chatting) == ["First?", "One."]
    assert aim(chatting) == wording.BRANCHED.sentence
    assert chatting.composer.aim_line.button.text() == "Show the rest"
    chatting.composer.aim_line.button.click()
    assert on_page(chatting) == ["First?", "One.", "Second?", "Two."]


def test_a_message_that_did_not_fit_is_no_branch(chatting: Person) -> None:
    chatting.send("Far too long")
    chatting.fail("context_full", "It does not fit.")
    assert aim(chatting) == ""


# --- variants ---------------------------------------------------------------------------------------------------------


def test_a_variant_shows_with_its_newest_branch(edited: Person) -> None:
    edited.say("More?", "More.")
    step(edited, 0, -1)
    assert stored(edited) == ["First?", "One.", "Second?", "Two."]
    step(edited, 0, 1)
    assert stored(edited) == on_page(edited) == ["Rather this?", "Gladly.", "More?", "More."]


def test_the_keyboard_stays_at_the_message_whose_variants_it_goes_through(edited: Person) -> None:
    step(edited, 0, -1)
    transcript = edited.window.transcript
    assert transcript.focused_message == transcript.message_ids()[0]
    edited.qtbot.keyClick(transcript, Qt.Key.Key_Right, ALT)
    assert on_page(edited) == ["Rather this?", "Gladly."]


def test_tab_reaches_the_buttons_of_the_variants_and_stays_there(edited: Person) -> None:
    transcript = edited.window.transcript
    row = transcript.findChild(ActionRow)
    assert row is not None
    transcript.setFocus()
    edited.qtbot.keyClick(transcript, Qt.Key.Key_Up, ALT)
    edited.qtbot.keyClick(transcript, Qt.Key.Key_Up, ALT)
    for _ in range(3):  # copy, edit, the variant before
        edited.qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    assert row.back.hasFocus()
    edited.qtbot.keyClick(row.back, Qt.Key.Key_Space)
    assert on_page(edited)[0] == "First?"
    assert row.variant_words == "1/2"
    assert row.on.hasFocus()  # there is none before


def test_the_pointer_stays_at_the_buttons_of_the_variants(edited: Person) -> None:
    transcript = edited.window.transcript
    row = transcript.findChild(ActionRow)
    assert row is not None
    frame = transcript._page.entries[0].frame
    assert frame is not None
    box = transcript.document().documentLayout().frameBoundingRect(frame)
    edited.qtbot.mouseMove(transcript.viewport(), QPoint(int(box.right()) - 30, int(box.center().y())))
    assert row.variant_words == "2/2"
    before = row.geometry().bottom()
    edited.qtbot.mouseClick(row.back, Qt.MouseButton.LeftButton)
    assert row.variant_words == "1/2"
    assert row.message_id == transcript.message_ids()[0]
    assert row.geometry().bottom() == before


def test_the_reply_goes_on_in_its_branch_while_another_is_shown(chatting: Person) -> None:
    act(chatting, 3, "regenerate")
    stream(chatting, "Thr")
    step(chatting, 3, -1)
    assert stored(chatting) == on_page(chatting) == ["First?", "One.", "Second?", "Two."]
    assert chatting.composer.sentence.text() == "The reply is being written in another branch."
    stream(chatting, "ee")
    assert on_page(chatting)[-1] == "Two."
    chatting.composer.show_reply_button.click()
    assert on_page(chatting)[-1] == "Three"
    assert chatting.composer.sentence.text() == ""
    step(chatting, 3, -1)
    finish(chatting, "Three.")
    assert stored(chatting) == on_page(chatting) == ["First?", "One.", "Second?", "Two."]
    assert chatting.composer.sentence.text() == ""
    step(chatting, 3, 1)
    assert on_page(chatting)[-1] == "Three."


def test_a_reply_out_of_sight_is_stopped_like_any_other(chatting: Person) -> None:
    act(chatting, 3, "regenerate")
    stream(chatting, "Thr")
    step(chatting, 3, -1)
    chatting.composer.button.click()
    finish(chatting, "Thr", "cancelled")
    assert on_page(chatting)[-1] == "Two."
    step(chatting, 3, 1)
    assert "Stopped." in chatting.shown


def test_a_reply_out_of_sight_whose_engine_dies_is_told(chatting: Person) -> None:
    act(chatting, 3, "regenerate")
    stream(chatting, "Thr")
    step(chatting, 3, -1)
    chatting.engine.die()
    assert any(CRASHED.sentence in notice for notice in chatting.notices)
    assert stored(chatting) == on_page(chatting) == ["First?", "One.", "Second?", "Two."]


# --- going on with a reply that was cut -------------------------------------------------------------------------------


@pytest.fixture
def cut(talking: Person) -> Person:
    """A reply that was cut at its limit."""
    talking.send("A story?")
    finish(talking, "Once upon", "length")
    return talking


def test_a_reply_that_was_cut_grows_in_place(cut: Person) -> None:
    (reply,) = [message for message in path(cut) if message.role == "assistant"]
    assert actions(cut, 1) == ("copy", "regenerate", "continue")
    act(cut, 1, "continue")
    assert cut.asked().continues
    assert cut.composer.button.stops()
    stream(cut, " a time")
    assert on_page(cut) == ["A story?", "Once upon a time"]
    finish(cut, "Once upon a time.")
    assert [message.id for message in path(cut)][1:] == [reply.id]
    assert stored(cut) == on_page(cut) == ["A story?", "Once upon a time."]
    assert "Once upon a time." in cut.shown
    assert "cut at its limit" not in cut.shown
    assert actions(cut, 1) == ("copy", "regenerate")


@pytest.mark.parametrize("how", ["stopped", "failed"])
def test_a_reply_that_was_stopped_or_failed_can_be_gone_on_with(talking: Person, how: str) -> None:
    talking.send("A story?")
    stream(talking, "Once")
    if how == "stopped":
        finish(talking, "Once", "cancelled")
    else:
        talking.engine.say(Failed(id=talking.asked().id, kind="decode", sentence="It broke off."))
    assert "continue" in actions(talking, 1)


def test_only_the_end_of_a_branch_can_be_gone_on_with(cut: Person) -> None:
    cut.say("And then?", "Then.")
    assert actions(cut, 1) == ("copy", "regenerate", "branch")
    act(cut, 1, "branch")
    assert actions(cut, 1) == ("copy", "regenerate")


def test_while_a_cut_reply_is_read_again_it_says_so_below_its_words(cut: Person) -> None:
    act(cut, 1, "continue")
    cut.engine.say(PromptProgress(id=cut.asked().id, done=40, total=100, reused=0))
    assert "Once upon" in cut.shown and "Reading … 40 %" in cut.shown
    stream(cut, " a time")
    assert "Reading" not in cut.shown
    assert on_page(cut)[-1] == "Once upon a time"


def test_going_on_that_fails_at_once_keeps_the_words_and_says_why(cut: Person) -> None:
    act(cut, 1, "continue")
    cut.fail("context_full", "The context is full.")
    assert on_page(cut)[-1] == stored(cut)[-1] == "Once upon"
    assert "The context is full." in cut.shown
    assert "continue" in actions(cut, 1)


def test_a_cut_reply_that_waits_to_be_gone_on_with_can_be_taken_back(cut: Person) -> None:
    first = cut.window.chat.conversation_id
    assert first is not None
    cut.window.conversations.new()
    cut.send("Another chat first")
    cut.window.conversations.open(first)
    act(cut, 1, "continue")
    assert cut.composer.take_back_button.isVisible()
    cut.composer.take_back_button.click()
    finish(cut, "Done")
    assert len(turns(cut)) == 2
    assert stored(cut)[-1] == "Once upon"


# --- the figures ------------------------------------------------------------------------------------------------------


def test_the_figures_say_where_the_kept_tokens_came_from(cut: Person) -> None:
    assert "reused 45 · read 5" in cut.shown
    message = cut.window.transcript._page.entries[1].message
    assert message.figures_detail.startswith("Of 50 tokens, 30 were still in memory, 15 came from saved state and 5")
    block = cut.window.transcript.document().findBlock(
        cut.window.transcript.document().find("reused 45").selectionStart()
    )
    assert any(run.format.toolTip() == message.figures_detail for run in block.textFormats())


def test_the_figures_of_the_first_part_are_gone_while_the_reply_grows(cut: Person) -> None:
    act(cut, 1, "continue")
    assert "reused" not in cut.shown
    finish(cut, "Once upon a time.", read=7)
    assert "reused 45 · read 7" in cut.shown
