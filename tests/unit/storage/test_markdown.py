"""A conversation as Markdown: every message once, and none can break out of its place."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.core.conversation import Conversation, ConversationTree, Message, Role, messages_by_id
from app.storage.markdown import to_markdown
from tests.unit.storage.made import CHAT, forked_tree, message, message_id


def line(*texts: str, title: str = "Roads") -> ConversationTree:
    """A conversation without branches: a question, a reply, and so on."""
    messages: list[Message] = []
    for number, text in enumerate(texts, start=1):
        role: Role = "user" if number % 2 else "assistant"
        messages.append(message(number, number - 1 or None, role, text))
    return ConversationTree(Conversation(CHAT, title=title, leaf=messages[-1].id), messages_by_id(messages))


def headings(text: str) -> list[str]:
    """The outermost headings as a Markdown reader sees them: "# title", "## You" …"""
    tokens = MarkdownIt("commonmark").parse(text)
    return [
        f"{'#' * int(opening.tag[1:])} {content.content}"
        for opening, content in pairwise(tokens)
        if opening.type == "heading_open" and opening.level == 0
    ]


def test_a_simple_conversation_reads_as_one_would_write_it() -> None:
    assert to_markdown(line("Why?", "Because.\n\n- layers")) == (
        "# Roads\n\n## You\n\nWhy?\n\n## SmolLM2\n\nBecause.\n\n- layers\n"
    )


def test_the_shown_path_comes_first_and_the_other_variants_say_where_they_branch_off() -> None:
    assert headings(to_markdown(forked_tree())) == [
        "# Roman roads",
        "## System prompt",
        "## You",
        "## SmolLM2",
        "## You",
        "## SmolLM2",
        "## Other variants",
        "### After “Why did Roman roads last?”",
        "#### SmolLM2",
        "### From the beginning",
        "#### You",
    ]


def test_every_message_of_a_tree_with_nested_branches_appears_once() -> None:
    parents = [None, 1, 1, 2, 2, 3, 4, 4, 8, None, 10, 7]
    messages = [
        message(number, parent, "user" if number % 3 else "assistant", f"word{number}.")
        for number, parent in enumerate(parents, start=1)
    ]
    for leaf in (None, message_id(1), message_id(9), message_id(11)):
        text = to_markdown(ConversationTree(Conversation(CHAT, leaf=leaf), messages_by_id(messages)))
        for m in messages:
            assert text.count(f"\n{m.text}\n") == 1


def test_reasoning_is_quoted() -> None:
    text = to_markdown(line("Why?", "<think>\nFirst\n\n# second\n</think>\n\nBecause."))
    assert "> **Reasoning**\n>\n> First\n>\n> # second\n\nBecause.\n" in text
    assert "<think>" not in text


def test_reasoning_that_was_cut_off_is_quoted_to_its_end() -> None:
    assert to_markdown(line("Why?", "<think>Hm, ```")).endswith("> **Reasoning**\n>\n> Hm, ```\n")


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ({"finish_reason": "failed", "error": "The engine\nended *hard*."}, "broke off: The engine ended \\*hard"),
        ({"finish_reason": "cancelled"}, "was stopped here"),
        ({"finish_reason": "length"}, "limit of tokens"),
    ],
)
def test_how_a_reply_ended_is_said_when_it_did_not_end_by_itself(ending: dict[str, str], words: str) -> None:
    reply = message(2, 1, "assistant", "Bec", **ending)
    tree = ConversationTree(Conversation(CHAT, leaf=reply.id), messages_by_id([message(1, None), reply]))
    assert words in to_markdown(tree)


def test_headings_in_a_message_move_below_its_own() -> None:
    text = to_markdown(line("# One\n\nTwo\n===\n\nThree\n---\n\n##### Five\n\n```\n# comment\n```", "ok"))
    assert headings(text) == ["# Roads", "## You", "### One", "### Two", "#### Three", "###### Five", "## SmolLM2"]
    assert "```\n# comment\n```" in text


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)",
        "~~~~\n```\ncode",
        "~~~\ncode\n~~~\n\n````\n```\n# x",
        "<!-- never closed\n\n# x",
        "<pre>\n\n# x",
        "<script>\n\n",
        "<div>",
        "- a list\n  ```\n  code in it",
        "> quoted\n> ```\n> code",
        "1. one\n\n       code",
        "line one\r\n# x\r```\r\n",
        "a table |\n--- |",
        "[link]: <unclosed",
        "\\",
        "text  ",
        "Title\n---\n\n<!--",
    ],
)
def test_what_a_message_leaves_open_does_not_take_in_the_next_one(text: str) -> None:
    written = to_markdown(line(text, "fine"))
    assert headings(written)[-1] == "## SmolLM2"
    assert MarkdownIt("commonmark").parse(written)[-2].content == "fine"


def test_an_open_fence_is_closed_and_its_code_left_as_it_is() -> None:
    assert "## You\n\n```python\nprint(1)\n\n# no heading\n```\n\n## SmolLM2" in to_markdown(
        line("```python\nprint(1)\n\n# no heading", "fine")
    )


def test_a_title_is_one_line_of_plain_text() -> None:
    text = to_markdown(line("x", title="# *Big*\n<b>[a](b)</b>"))
    assert text.splitlines()[0] == "# \\# \\*Big\\* \\<b\\>\\[a\\](b)\\</b\\>"


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["# a", "b", "===", "---", "```", "~~~", "<!--", "<pre>", "", "    c", "- d", "> e", "-->", "\t", "\\"]
        ),
        max_size=8,
    ).map("\n".join)
)
def test_no_message_breaks_out_of_its_place(text: str) -> None:
    written = to_markdown(line("first", text, "last"))
    own = [heading for heading in headings(written) if heading.startswith(("# ", "## "))]
    assert own == ["# Roads", "## You", "## SmolLM2", "## You"]
