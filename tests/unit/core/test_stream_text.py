"""Characters appear whole, however tokens split them."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.stream_text import StreamText, boundaries


@given(st.text(max_size=60), st.lists(st.integers(1, 5), min_size=1, max_size=20))
def test_no_broken_character_is_ever_shown(text: str, sizes: list[int]) -> None:
    data, pieces, at = text.encode("utf-8", "replace"), [], 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
    stream = StreamText()
    shown = [stream.feed(piece) for piece in pieces]
    assert "".join(shown) == data.decode()
    assert "\ufffd" not in "".join(shown) or "\ufffd" in text
    assert not stream.pending


def test_half_a_character_waits_for_its_other_half() -> None:
    stream, flame = StreamText(), "🔥".encode()
    assert stream.feed(flame[:2]) == ""
    assert stream.pending
    assert stream.feed(flame[2:]) == "🔥"


def test_boundaries_lie_only_between_characters() -> None:
    text, ends = boundaries([b"a", "é".encode()[:1], "é".encode()[1:], b"bc"])
    assert (text, ends) == ("aébc", [1, -1, 2, 4])


def test_pieces_that_began_a_character_at_the_very_end_belong_to_the_end() -> None:
    flame = "🔥".encode()
    assert boundaries([b"a", b" " + flame[:1], flame[1:2]]) == ("a ", [1, -1, 2])
