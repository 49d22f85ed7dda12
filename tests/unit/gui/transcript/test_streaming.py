"""A reply grows: what is closed is written once, and in the end it looks as if written at once."""

import random

import pytest
from pytestqt.qtbot import QtBot

from app.gui.transcript import TranscriptView
from app.gui.transcript.layout import FrameKind, Kind

from .conftest import Reader, reply, user

LONG = """# Roads

They were *built* in **layers**, and the `layers` drained.
See [this](https://example.org) for more.

1. Statumen
2. Rudus
   - broken
   - stone

   ```python
   x = "in a list"
   ```
3. Nucleus

A paragraph
=====

> quoted
> twice
>> deeper

| a | b |
|---|--:|
| 1 | 2 |
| 3 | **4** |

```js
const a = 1;

// done
```
~~~
tilde ``` inside
~~~

- [x] one

  two
- three

---
The end, with 🏛 and עברית."""


def stream(view: TranscriptView, text: str, pieces: list[str], qtbot: QtBot) -> None:
    """Let a reply arrive in pieces, each shown before the next one comes."""
    view.append_message(reply("", streaming=True))
    for piece in pieces:
        view.append_text("r", piece)
        with qtbot.waitSignal(view.text_shown):
            pass
    view.update_message(reply(text))


def cut(text: str, seed: int) -> list[str]:
    """The text in pieces of up to forty characters."""
    dice, at, pieces = random.Random(seed), 0, []
    while at < len(text):
        size = dice.randint(1, 40)
        pieces.append(text[at : at + size])
        at += size
    return pieces


@pytest.mark.parametrize("seed", [1, 2])
def test_a_streamed_reply_ends_as_one_that_was_written_at_once(
    view: TranscriptView, page: Reader, qtbot: QtBot, seed: int
) -> None:
    view.set_messages([reply(LONG)])
    at_once, height = page.signature(), view.document().size().height()
    view.clear()
    stream(view, LONG, cut(LONG, seed), qtbot)
    assert page.signature() == at_once
    assert view.document().size().height() == height


def test_pieces_show_together_at_the_next_frame(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.append_message(reply("", streaming=True))
    view.append_text("r", "One ")
    view.append_text("r", "two")
    assert page.body() == []
    qtbot.waitSignal(view.text_shown).wait()
    assert page.body() == ["One two"]


def test_closed_blocks_are_not_written_again(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.append_message(reply("", streaming=True))
    view.append_text("r", "First paragraph.\n\n```\ncode\n```\n\n- one\n- two\n- three\n\nThe last ")
    qtbot.waitSignal(view.text_shown).wait()
    changes: list[int] = []
    view.document().contentsChange.connect(lambda position, _removed, _added: changes.append(position))
    last = page.blocks(Kind.BODY)[-1].position()
    view.append_text("r", "one grows")
    qtbot.waitSignal(view.text_shown).wait()
    assert page.body()[-1] == "The last one grows"
    assert changes and min(changes) >= last


def test_in_a_growing_list_only_the_last_item_is_written_again(
    view: TranscriptView, page: Reader, qtbot: QtBot
) -> None:
    view.append_message(reply("1. one\n2. two\n3. thr", streaming=True))
    changes: list[int] = []
    view.document().contentsChange.connect(lambda position, _removed, _added: changes.append(position))
    last = page.blocks(Kind.BODY)[-1].position()
    view.append_text("r", "ee\n4. four")
    qtbot.waitSignal(view.text_shown).wait()
    assert page.body() == ["1.\tone", "2.\ttwo", "3.\tthree", "4.\tfour"]
    assert min(changes) >= last


def test_a_growing_block_of_code_only_gets_what_is_new(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.append_message(reply("```python\na = 1\nb = ", streaming=True))
    assert page.texts(Kind.CODE) == ["a = 1", "b = "]
    changes: list[int] = []
    view.document().contentsChange.connect(lambda position, _removed, _added: changes.append(position))
    last = page.blocks(Kind.CODE)[-1].position()
    view.append_text("r", "2\n\nc = 3\n``")
    qtbot.waitSignal(view.text_shown).wait()
    assert page.texts(Kind.CODE) == ["a = 1", "b = 2", "", "c = 3"]
    assert min(changes) >= last
    view.append_text("r", "`\nafter")
    qtbot.waitSignal(view.text_shown).wait()
    assert page.texts(Kind.CODE) == ["a = 1", "b = 2", "", "c = 3"]
    assert page.body() == ["after"]


def test_a_growing_table_gets_one_row_after_another(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.append_message(reply("| a | b |\n|---|---|\n| 1 | 2 |\n| 3", streaming=True))
    assert page.texts(Kind.CELL) == ["a", "b", "1", "2"]
    (table,) = page.tables()
    view.append_text("r", " | 4 |\n\nafter")
    qtbot.waitSignal(view.text_shown).wait()
    assert page.tables() == [table]
    assert page.texts(Kind.CELL) == ["a", "b", "1", "2", "3", "4"]
    assert page.body() == ["after"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Some **strong", ["Some strong"]),
        ("Some **", ["Some "]),
        ("Some `code", ["Some code"]),
        ("Words\n-", ["Words"]),
        ("Words\n\n##", ["Words"]),
        ("Words\n\n1", ["Words"]),
        ("Words\n\n``", ["Words"]),
        ("Words\n\n```py", ["Words"]),
    ],
)
def test_signs_that_are_not_decided_yet_do_not_flicker(
    view: TranscriptView, page: Reader, text: str, expected: list[str]
) -> None:
    view.append_message(reply(text, streaming=True))
    assert [line.rstrip() for line in page.body()] == [line.rstrip() for line in expected]
    assert page.frames(FrameKind.CARD) == []


def test_what_was_held_back_shows_when_the_reply_ends(view: TranscriptView, page: Reader) -> None:
    view.append_message(reply("Words\n\n1", streaming=True))
    view.update_message(reply("Words\n\n1", figures="read 3"))
    assert page.body() == ["Words", "1"]
    assert page.texts(Kind.FOOTER) == ["read 3"]


def test_an_update_that_only_adds_figures_does_not_touch_the_words(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("Some words.\n\nMore.")])
    changes: list[int] = []
    view.document().contentsChange.connect(lambda position, _removed, _added: changes.append(position))
    last = page.blocks(Kind.BODY)[-1].position()
    view.update_message(reply("Some words.\n\nMore.", figures="read 41", notice="Stopped."))
    assert page.texts(Kind.NOTICE, Kind.FOOTER) == ["Stopped.", "read 41"]
    assert min(changes) >= last


def test_the_status_stands_in_the_replys_place_until_its_first_word(
    view: TranscriptView, page: Reader, qtbot: QtBot
) -> None:
    view.append_message(reply("", streaming=True))
    view.set_status("r", "Reading your words… 43 %")
    assert page.texts(Kind.STATUS) == ["Reading your words… 43 %"]
    view.set_status("r", "Reading your words… 80 %")
    assert page.texts(Kind.STATUS) == ["Reading your words… 80 %"]
    view.append_text("r", "Yes")
    qtbot.waitSignal(view.text_shown).wait()
    assert page.texts(Kind.STATUS) == []
    assert page.body() == ["Yes"]


def test_a_status_is_gone_when_the_reply_ends_without_a_word(view: TranscriptView, page: Reader) -> None:
    view.append_message(reply("", streaming=True))
    view.set_status("r", "Reading your words… 43 %")
    view.update_message(reply("", notice="Stopped."))
    assert page.texts(Kind.STATUS) == []
    assert page.texts(Kind.NOTICE) == ["Stopped."]


def test_nothing_below_moves_when_the_figures_come(view: TranscriptView, page: Reader) -> None:
    view.append_message(reply("Yes.", streaming=True))
    height = view.document().size().height()
    view.update_message(reply("Yes.", figures="read 41 · first word 0.2 s"))
    assert view.document().size().height() == height


def test_text_for_a_message_that_is_gone_is_ignored(view: TranscriptView, page: Reader) -> None:
    view.append_message(reply("", streaming=True))
    view.append_text("r", "words")
    view.remove_message("r")
    view.append_text("r", "more")
    view.set_status("r", "status")
    view.update_message(reply("words"))
    assert page.messages() == 0


def test_a_very_long_paragraph_ends_as_one_that_was_written_at_once(
    view: TranscriptView, page: Reader, qtbot: QtBot
) -> None:
    text = "Because they were **built** in layers, and the layers drained. " * 150
    view.set_messages([reply(text)])
    at_once = page.signature()
    view.clear()
    stream(view, text, [text[at : at + 1_500] for at in range(0, len(text), 1_500)], qtbot)
    assert page.signature() == at_once


def test_another_conversation_forgets_the_pieces_that_wait(view: TranscriptView, page: Reader) -> None:
    view.append_message(reply("", streaming=True))
    view.append_text("r", "words")
    view.set_messages([user("hello")])
    assert page.body() == ["hello"]
