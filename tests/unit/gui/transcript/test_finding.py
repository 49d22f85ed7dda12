"""Words are found in the whole conversation, also where it is not on the page yet."""

from app.gui.transcript import TranscriptView

from .conftest import Reader, reply, user


def test_the_next_and_the_one_before_are_found(view: TranscriptView) -> None:
    view.set_messages([user("one needle", "1"), reply("two **need**le three", "2"), user("no", "3")])
    assert view.find_text("needle")
    first = view.textCursor().selectionStart()
    assert view.textCursor().selectedText() == "needle"
    assert view.find_text("NEEDLE")
    assert view.textCursor().selectionStart() > first
    assert view.find_text("needle", forward=False)
    assert view.textCursor().selectionStart() == first


def test_the_search_goes_around_the_end(view: TranscriptView) -> None:
    view.set_messages([user("needle", "1"), user("hay", "2")])
    assert view.find_text("needle")
    first = view.textCursor().selectionStart()
    assert view.find_text("needle")
    assert view.textCursor().selectionStart() == first


def test_words_in_a_message_that_is_not_on_the_page_yet_are_found(view: TranscriptView, page: Reader) -> None:
    messages = [user(f"hay {n}", str(n)) for n in range(600)]
    messages[3] = reply("here is the *needle* at last", "3")
    view.set_messages(messages)
    assert not view.is_complete
    assert view.find_text("the needle")
    assert view.textCursor().selectedText() == "the needle"
    assert not view.at_end
    assert view.find_text("the needle", forward=False)
    assert not view.find_text("nowhere")


def test_figures_and_names_are_not_words(view: TranscriptView) -> None:
    view.set_messages([reply("Yes.", figures="read 41")])
    assert not view.find_text("read 41")
    assert not view.find_text("SmolLM2")
    assert not view.find_text("  ")


def test_an_empty_conversation_has_nothing_to_find(view: TranscriptView) -> None:
    assert not view.find_text("x")
