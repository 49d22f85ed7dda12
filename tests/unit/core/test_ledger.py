"""The ledger puts exact ids back, and never lets text become a control token."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.core.control_tokens import ControlPattern, ControlToken, choose_mark
from app.core.ledger import LedgerEntry, Prompt, assemble, common_prefix, placeholder
from app.core.stream_text import StreamText

START, END, TEXT_END = (
    ControlToken("<|im_start|>", 1),
    ControlToken("<|im_end|>", 2),
    ControlToken("<eot>", 3),
)


class WordTokenizer:
    """A small tokenizer that merges: a word with the space before it is one token, and ids grow as needed."""

    controls = (START, END, TEXT_END)

    def __init__(self) -> None:
        self._words: dict[str, int] = {}
        self._pieces = {token.id: b"" for token in self.controls}

    def id_of(self, word: str) -> int:
        token = self._words.setdefault(word, 100 + len(self._words))
        self._pieces[token] = word.encode("utf-8", "surrogatepass")
        return token

    def tokenize(self, text: str, *, start: bool = True) -> list[int]:
        return [self.id_of(word) for word in re.findall(r" ?\w+|\s|[^\w\s]", text)]

    def id_of_bytes(self, piece: bytes) -> int:
        """A token of any bytes, such as half a character."""
        token = 10_000 + int.from_bytes(b"\x01" + piece, "big")
        self._pieces[token] = piece
        return token

    def piece(self, token: int) -> bytes:
        return self._pieces[token]

    def text(self, ids: list[int]) -> str:
        """The ids as text, control tokens by their spelling."""
        names = {token.id: token.text for token in self.controls}
        return "".join(names.get(token) or self.piece(token).decode("utf-8", "surrogatepass") for token in ids)


def chatml(turns: list[tuple[str, str]]) -> str:
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns) + "<|im_start|>assistant\n"


def plain(turns: list[tuple[str, str]]) -> str:
    """A template without any control token."""
    return "".join(f"{role}: {text}\n" for role, text in turns) + "assistant: "


def stripping(turns: list[tuple[str, str]]) -> str:
    """A template that drops earlier reasoning, as Qwen3's does, and trims."""
    return chatml([(role, text.split("</think>")[-1].strip()) for role, text in turns])


def build(
    tokenizer: WordTokenizer, turns: list[tuple[str, LedgerEntry]], template=chatml, with_skeleton=True
) -> Prompt:  # type: ignore[no-untyped-def]
    pattern = ControlPattern(tokenizer.controls)
    mark = choose_mark([entry.text for _, entry in turns])
    rendered = template([(role, pattern.shield(entry.text, mark)) for role, entry in turns])
    skeleton = template([(role, placeholder(i, mark)) for i, (role, _) in enumerate(turns)]) if with_skeleton else None
    return assemble(rendered, mark, [entry for _, entry in turns], tokenizer, pattern, skeleton)


TEMPLATES = [chatml, plain, stripping]
TEXTS = st.text(alphabet="ab é\n<|im_end>_start🔥eot", min_size=0, max_size=30)


@settings(max_examples=300)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.sampled_from(TEMPLATES))
def test_text_never_becomes_a_control_token(texts: list[str], template) -> None:  # type: ignore[no-untyped-def]
    tokenizer = WordTokenizer()
    turns = [("user" if i % 2 == 0 else "assistant", LedgerEntry(str(i), text)) for i, text in enumerate(texts)]
    prompt = build(tokenizer, turns, template)
    empty = build(WordTokenizer(), [(role, LedgerEntry(entry.id, "x")) for role, entry in turns], template)
    count = sum(token < 100 for token in prompt.ids)
    assert count == sum(token < 100 for token in empty.ids)


@settings(max_examples=300)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.sampled_from(TEMPLATES))
def test_the_ids_spell_the_rendered_prompt(texts: list[str], template) -> None:  # type: ignore[no-untyped-def]
    tokenizer = WordTokenizer()
    turns = [("user" if i % 2 == 0 else "assistant", LedgerEntry(str(i), text)) for i, text in enumerate(texts)]
    prompt = build(tokenizer, turns, template)
    assert tokenizer.text(prompt.ids) == template([(role, entry.text) for role, entry in turns])


@settings(max_examples=300)
@given(st.lists(TEXTS.filter(str.strip), min_size=1, max_size=7), st.sampled_from([chatml, plain]), st.data())
def test_every_turn_extends_the_one_before_token_by_token(texts: list[str], template, data) -> None:  # type: ignore[no-untyped-def]
    """Whatever a person writes and however a reply was tokenised, a follow-up keeps all that was evaluated."""
    tokenizer = WordTokenizer()
    turns: list[tuple[str, LedgerEntry]] = []
    live: list[int] = []
    for number, text in enumerate(texts):
        turns.append(("user", LedgerEntry(f"u{number}", text)))
        prompt = build(tokenizer, turns, template)
        assert common_prefix(live, prompt.ids) == len(live)
        turns = [(role, LedgerEntry(e.id, e.text, e.token_ids or prompt.learned.get(e.id))) for role, e in turns]
        reply = data.draw(st.lists(st.sampled_from(["a", "b", "é", " a", "\n", "ab", "x."]), min_size=1, max_size=6))
        ids = tuple(tokenizer.id_of(word) for word in reply)
        live = prompt.ids + list(ids)
        turns.append(("assistant", LedgerEntry(f"a{number}", "".join(reply), ids)))


def test_a_reply_keeps_the_ids_it_was_generated_with() -> None:
    tokenizer = WordTokenizer()
    odd = (tokenizer.id_of("Hel"), tokenizer.id_of("lo"))
    turns = [("user", LedgerEntry("u", "Hi")), ("assistant", LedgerEntry("a", "Hello", odd))]
    prompt = build(tokenizer, turns)
    assert prompt.spliced == ("a",)
    span = next(span for span in prompt.spans if span.id == "a")
    assert tuple(prompt.ids[span.start : span.end]) == odd


PIECES = [b"a", b"\n", b" \xf0\x9f", b"\x94\xa5", b"\xc3", b"\xa9", b"\xff", b"b\xe2\x82"]
"""Words, halves of characters (also with a space before them, as real vocabularies have), and what is no UTF-8."""


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8), st.sampled_from([chatml, plain]))
def test_a_reply_cut_inside_a_character_keeps_all_its_ids(pieces: list[bytes], template) -> None:  # type: ignore[no-untyped-def]
    tokenizer, stream = WordTokenizer(), StreamText()
    text = "".join(stream.feed(piece) for piece in pieces)
    assume(text)
    ids = tuple(map(tokenizer.id_of_bytes, pieces))
    question = ("user", LedgerEntry("u", "Hi", tuple(tokenizer.tokenize("Hi"))))
    live = build(tokenizer, [question], template).ids + list(ids)
    next_turn = [question, ("assistant", LedgerEntry("a", text, ids)), ("user", LedgerEntry("v", "And?"))]
    assert common_prefix(live, build(tokenizer, next_turn, template).ids) == len(live)


def test_ids_of_a_message_whose_text_was_changed_are_not_used() -> None:
    tokenizer = WordTokenizer()
    stale = (tokenizer.id_of("Hel"), tokenizer.id_of("lo"))
    prompt = build(tokenizer, [("user", LedgerEntry("u", "Hi")), ("assistant", LedgerEntry("a", "Hallo", stale))])
    assert prompt.spliced == ()
    assert tokenizer.text(prompt.ids).count("Hallo") == 1


@settings(max_examples=200)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.sampled_from(TEMPLATES))
def test_without_a_skeleton_the_ids_still_spell_the_prompt(texts: list[str], template) -> None:  # type: ignore[no-untyped-def]
    tokenizer = WordTokenizer()
    turns = [("user" if i % 2 == 0 else "assistant", LedgerEntry(str(i), text)) for i, text in enumerate(texts)]
    prompt = build(tokenizer, turns, template, with_skeleton=False)
    assert tokenizer.text(prompt.ids) == template([(role, entry.text) for role, entry in turns])


def test_a_short_reply_is_not_found_inside_the_templates_own_words() -> None:
    tokenizer = WordTokenizer()
    turns = [("user", LedgerEntry("u", "Hi")), ("assistant", LedgerEntry("a", "a", (tokenizer.id_of("a"),)))]
    prompt = build(tokenizer, turns)
    assert "assistant" in [tokenizer.piece(token).decode() for token in prompt.ids]


def test_a_stripped_reasoning_keeps_the_ids_of_the_answer() -> None:
    tokenizer = WordTokenizer()
    words = ["<think>", "hm", "</think>", "\n", "\n", "Yes", "."]
    ids = tuple(tokenizer.id_of(word) for word in words)
    turns = [("user", LedgerEntry("u", "Hi")), ("assistant", LedgerEntry("a", "".join(words), ids))]
    prompt = build(tokenizer, turns, stripping)
    span = next(span for span in prompt.spans if span.id == "a")
    assert tuple(prompt.ids[span.start : span.end]) == ids[-2:]


def test_a_reasoning_that_the_template_opened_belongs_to_the_text_but_not_to_the_ids() -> None:
    tokenizer = WordTokenizer()
    words = ["hm", "</think>", "Yes"]
    ids = tuple(tokenizer.id_of(word) for word in words)
    entry = LedgerEntry("a", "<think>\n" + "".join(words), ids)
    prompt = build(tokenizer, [("user", LedgerEntry("u", "Hi")), ("assistant", entry)], stripping)
    span = next(span for span in prompt.spans if span.id == "a")
    assert tuple(prompt.ids[span.start : span.end]) == ids[-1:]


def test_white_space_beside_a_token_that_swallows_it_is_gone() -> None:
    tokenizer = WordTokenizer()
    tokenizer.controls = (START, ControlToken("<|im_end|>", 2, strips_right=True), TEXT_END)  # type: ignore[assignment]
    prompt = build(tokenizer, [("user", LedgerEntry("u", "Hi"))])
    assert tokenizer.text(prompt.ids) == "<|im_start|>user\nHi<|im_end|><|im_start|>assistant\n"


@pytest.mark.parametrize("text", ["<|im_end|>", "<<|im_end|>|im_end|>", "<|im_<|im_end|>end|>", "<eot><eot>"])
def test_a_shielded_text_spells_no_control_token(text: str) -> None:
    pattern = ControlPattern(WordTokenizer.controls)
    mark = choose_mark([text])
    shielded = pattern.shield(text, mark)
    assert not list(pattern.find(shielded))
    assert shielded.replace(mark, "") == text


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_the_common_prefix_is_the_longest(shared: list[int], left: list[int], right: list[int]) -> None:
    a, b = shared + left, shared + right
    length = common_prefix(a, b)
    assert length >= len(shared)
    assert a[:length] == b[:length]
    assert length == min(len(a), len(b)) or a[length] != b[length]
