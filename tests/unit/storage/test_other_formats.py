"""Conversations as JSON, plain text, Markdown and HTML, and what of them comes back."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.core.conversation import Conversation, ConversationTree, Message, messages_by_id
from app.core.errors import EmberError
from app.gui.palettes import LIGHT
from app.storage import chat_json, html_page
from app.storage.archive_format import RefusedError
from app.storage.chat_json import to_chat_json
from app.storage.html_page import COLORS, to_html
from app.storage.imports.draft import Taken
from app.storage.imports.reading import Refused, conversations_in
from app.storage.markdown import to_markdown
from app.storage.plain_text import to_plain_text
from tests.unit.storage.made import CHAT, forked_tree, message


def back(folder: Path, data: bytes) -> ConversationTree:
    """The conversation that is read from what was written."""
    (folder / "written").write_bytes(data)
    (taken,) = conversations_in(folder / "written")
    assert isinstance(taken, Taken)
    return taken.imported.tree


def paths(tree: ConversationTree) -> set[tuple[tuple[str, str], ...]]:
    """Every branch as roles and texts, without white space at the ends."""
    above = {each.parent for each in tree.messages.values()}
    leaves = [each.id for each in tree.messages.values() if each.id not in above]
    return {tuple((m.role, m.text.strip()) for m in tree.path(leaf)) for leaf in leaves}


def chat(*texts: str) -> ConversationTree:
    """A conversation of these texts in turn."""
    roles = ("user", "assistant")
    made = [message(n, n - 1 or None, roles[(n - 1) % 2], text) for n, text in enumerate(texts, 1)]  # type: ignore[arg-type]
    return ConversationTree(Conversation(CHAT, "Roads", leaf=made[-1].id), messages_by_id(made))


def spoken(tree: ConversationTree) -> ConversationTree:
    """The tree with an ordinary thought and without what a text cannot show."""

    def plain(each: Message) -> Message:
        return replace(each, text=each.text.replace("\0", "").replace("<think>hm</think>", "<think>\nhm\n</think>\n\n"))

    return ConversationTree(tree.conversation, messages_by_id(map(plain, tree.messages.values())))


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_one_branch_is_what_openais_api_takes() -> None:
    written = json.loads(to_chat_json(forked_tree()))
    assert [each["role"] for each in written["messages"]] == ["system", "user", "assistant", "user", "assistant"]
    assert written["messages"][1] == {"role": "user", "content": "Why did Roman roads last?"}


def test_all_branches_as_json_come_back_as_one_tree(tmp_path: Path) -> None:
    tree = back(tmp_path, to_chat_json(forked_tree(), one=False))
    assert paths(tree) == paths(forked_tree())
    assert [m.text for m in tree.path()] == [m.text for m in forked_tree().path()]
    assert (tree.conversation.title, tree.conversation.system_prompt) == ("Roman roads", "Be brief.")


def test_branches_that_would_take_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_json, "BRANCH_BYTES", 10)
    with pytest.raises(EmberError) as refused:
        to_chat_json(forked_tree(), one=False)
    assert refused.value.kind == "too_large"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(min_size=1).filter(lambda text: text.strip("\n").strip()), min_size=1, max_size=4))
def test_any_texts_come_back_from_json(tmp_path: Path, texts: list[str]) -> None:
    tree = chat(*texts)
    assert paths(back(tmp_path, to_chat_json(tree))) == paths(tree)


# --- text and Markdown -----------------------------------------------------------------------------------------------


def test_plain_text_has_the_words_as_they_were_written() -> None:
    text = to_plain_text(forked_tree())
    assert text.startswith("Roman roads\n\nSystem prompt:\nBe brief.\n\nYou:\nWhy did Roman roads last?\n\nSmolLM2:\n")
    assert "bridges" not in text
    assert "after: Why did Roman roads last?" in to_plain_text(forked_tree(), one=False)


def test_markdown_comes_back_with_all_branches_and_how_replies_ended(tmp_path: Path) -> None:
    tree = spoken(forked_tree())
    found = back(tmp_path, to_markdown(tree).encode())
    assert paths(found) == paths(tree)
    assert found.conversation.title == "Roman roads"
    assert found.conversation.system_prompt == "Be brief."
    ends = [(m.model, m.finish_reason, m.error) for m in found.path()]
    assert ends[1] == ("SmolLM2", "length", None)
    assert ends[3] == ("SmolLM2", "failed", "The engine ended unexpectedly.")


def test_a_reply_that_never_came_stands_between_two_questions_when_it_comes_back(tmp_path: Path) -> None:
    tree = chat("Why?", "x", "Well?")
    failed = replace(list(tree.messages.values())[1], text="", finish_reason="failed", error="It *ended*.")
    found = back(tmp_path, to_markdown(tree.with_state(failed)).encode()).path()
    assert [(m.text, m.error) for m in found] == [("Why?", None), ("", "It *ended*."), ("Well?", None)]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.sampled_from(("#", "\n", "> ", "## ", "```", "“", "\0", ""))), max_size=4
    )
)
def test_edited_markdown_is_refused_or_gives_a_tree(tmp_path: Path, changes: list[tuple[int, str]]) -> None:
    text = to_markdown(spoken(forked_tree()))
    for at, piece in changes:
        text = text[:at] + piece + text[at + 3 :]
    (tmp_path / "edited.md").write_text(text, encoding="utf-8")
    try:
        found = list(conversations_in(tmp_path / "edited.md"))
    except RefusedError:
        return
    for each in found:
        assert isinstance(each, Refused) or each.imported.tree.conversation.leaf in each.imported.tree.messages


TEXTS = (
    "# Heading\n\nwords\n\n## Deeper",
    "```\n# not a heading\n## You\n```",
    "- a list\n- of two",
    "> quoted\n\n## You",
    "<!--\n## You\n-->",
    "a *star* and `code`",
)


@pytest.mark.parametrize("text", TEXTS)
def test_markdown_in_a_message_comes_back_as_it_was(text: str, tmp_path: Path) -> None:
    tree = chat("Why?", text, "Thanks.")
    assert [m.text for m in back(tmp_path, to_markdown(tree).encode()).path()] == ["Why?", text, "Thanks."]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="ab#>*`~-=<! \n\\", max_size=60))
@example("```\nopen")
@example("<script>")
def test_no_text_takes_the_next_message_in(tmp_path: Path, text: str) -> None:
    tree = chat("Why?", f"a{text}", "Thanks.")
    found = back(tmp_path, to_markdown(tree).encode()).path()
    assert [m.role for m in found] == ["user", "assistant", "user"]
    assert (found[0].text, found[2].text) == ("Why?", "Thanks.")


def test_a_variant_whose_place_is_gone_is_left_out_and_counted(tmp_path: Path) -> None:
    text = to_markdown(spoken(forked_tree())).replace("After “Why did", "After “What did")
    (tmp_path / "edited.md").write_text(text, encoding="utf-8")
    (taken,) = conversations_in(tmp_path / "edited.md")
    assert isinstance(taken, Taken)
    assert taken.remarks == ("Variants whose place is not there were left out (1).",)
    assert len(taken.imported.tree.messages) == 5


# --- HTML ------------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://example.org/track.png)",
    "[x](javascript:alert(1)) [y](data:text/html,x) [z](file:///etc/passwd)",
    "```html\n</code></pre><script>alert(1)</script>\n```",
    '```"><script>\nx\n```',
)


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_message_says_becomes_a_script_an_image_or_a_strange_link(text: str, paper: bool) -> None:
    tree = chat(text, text, text)
    tree = replace(tree, conversation=replace(tree.conversation, title=text, system_prompt=text))
    page = Tags(to_html(tree, paper=paper))
    assert not {"script", "img", "iframe", "object"} & {tag for tag, _ in page.found}
    assert not [name for _, attributes in page.found for name in attributes if name.startswith("on")]
    assert all((attributes.get("href") or "http:").startswith("http") for _, attributes in page.found)


def test_the_page_shows_the_shown_branch_with_coloured_code_and_fetches_nothing() -> None:
    page = to_html(chat("Why?", "**Bold**\n\n```python\nimport os\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |"))
    assert "<strong>Bold</strong>" in page
    assert f'<span style="color:{COLORS["code_keyword"]}">import</span>' in page
    assert '<td dir="auto">1</td>' in page
    assert "default-src 'none'" in page
    assert not re.search(r"https?://", page)


def test_each_paragraph_has_its_own_direction() -> None:
    told = "Roads\n\nطرق رومانية\n\n- טז roads"
    screen, paper = (to_html(chat("Why?\nلماذا؟", told), paper=paper) for paper in (False, True))
    assert screen.count('<p dir="auto">') == 2 and '<ul dir="auto">' in screen
    assert "<p>Roads</p>" in paper and '<p dir="rtl">طرق' in paper and '<ul dir="rtl">' in paper
    assert '<div class="user">Why?</div><div class="user" dir=rtl>لماذا؟</div>' in paper


def test_all_that_is_seen_stands_on_the_page_in_its_order_and_no_other_branch() -> None:
    words = " ".join(re.sub(r"<[^>]*>", " ", to_html(forked_tree()).partition("<body>")[2]).split())
    assert words == (
        "Roman roads System prompt Be brief. You Why did Roman roads last? SmolLM2 hm Deep foundations.\ufffd 🛣 ¿qué? "
        "The reply reached its limit of tokens here. You Which ones remain? SmolLM2 assistant 5 "
        "The engine ended unexpectedly."
    )


def test_the_pages_colours_are_the_windows_light_ones() -> None:
    assert {name: getattr(LIGHT, name) for name in COLORS} == html_page.COLORS


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_no_text_opens_a_tag_of_its_own(text: str) -> None:
    known = {"html", "head", "meta", "title", "style", "body", "main", "h1", "p", "div"}
    assert {tag for tag, _ in Tags(to_html(chat(text or "x"))).found} <= known
    on_paper = known | {"table", "tr", "td"}
    assert {tag for tag, _ in Tags(to_html(chat(text or "x"), paper=True)).found} <= on_paper
