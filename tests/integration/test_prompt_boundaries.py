"""Where a prompt's state is kept, under the templates and vocabularies of many model families.

Skipped where llama-cpp-python's source archive is not at hand, as in test_templates.py.
"""

from pathlib import Path
from typing import Any

import pytest

from app.core.ledger import common_prefix
from app.engine.chat_template import ChatTemplate
from app.engine.prompt import PromptBuilder, TurnPrompt
from app.protocol.parts import ChatMessage
from tests.integration.test_templates import CHAT, MODELS, STARTED, TEMPLATES, vocabulary

pytestmark = pytest.mark.skipif(MODELS is None, reason="llama-cpp-python's sources are not at hand")
ENDS_INSTEAD = "microsoft-Phi-3.5-mini-instruct"
"""Its prompt without the request for a reply has an end where the request begins; both may begin alike."""
MOVES_THE_LAST = "CohereForAI-c4ai-command-r-plus-tool_use"
"""It writes the latest message in another place than all before it."""
SOME_VOCABULARIES = ("llama-spm", "qwen2")


class Closed(ChatTemplate):
    """The same template, never asking for a reply."""

    def _bounded(self, template: Any, turns: Any, started: float, generation_prompt: bool = True) -> str:
        return super()._bounded(template, turns, started, False)


def built(path: Path, name: str, chat: list[ChatMessage], kind: type[ChatTemplate] = ChatTemplate) -> TurnPrompt:
    words = vocabulary(name)
    template = kind(path.read_text(), bos=words.text_of(words.bos), eos=words.text_of(words.eos))
    return PromptBuilder(words, template).build(tuple(chat), STARTED)


def messages(count: int) -> list[ChatMessage]:
    return [ChatMessage(id=str(i), role=role, text=text) for i, (role, text) in enumerate(CHAT[:count])]


@pytest.mark.parametrize("name", SOME_VOCABULARIES)
@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_the_state_is_kept_exactly_where_a_reply_is_asked_for(path: Path, name: str) -> None:
    asking, closed = built(path, name, messages(6)), built(path, name, messages(6), Closed)
    common = common_prefix(asking.ids, closed.ids)
    if common == len(asking.ids):  # it asks by nothing
        return
    place = asking.boundaries.checkpoints[-1]
    assert place == common or (path.stem == ENDS_INSTEAD and common < place <= common + 2)
    assert place in asking.boundaries.chunks


@pytest.mark.parametrize("thinking", ["", "Well, first of all.\n\nThen again no.\n</think>\n\n"], ids=["", "thinking"])
@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_the_next_turn_reads_only_the_reply_and_what_is_new(path: Path, thinking: str) -> None:
    """Also where the template writes the reply without its reasoning in the next turn."""
    words, chat = vocabulary("qwen2"), messages(2)
    first = built(path, "qwen2", chat)
    begun = first.opening or ("<think>\n" if thinking else "")
    reply = begun * bool(thinking) + thinking + "It is blue."
    ids = tuple(words.tokenize(reply.removeprefix(first.opening), start=False))
    known = [ChatMessage(id=m.id, role=m.role, text=m.text, token_ids=first.prompt.learned.get(m.id)) for m in chat]
    following = [
        ChatMessage(id="r", role="assistant", text=reply, token_ids=ids),
        ChatMessage(id="n", role="user", text="Why that one?"),
    ]
    second = built(path, "qwen2", [*known, *following])
    kept = common_prefix([*first.ids, *ids], second.ids)
    assert kept >= max(first.boundaries.checkpoints, default=0) or path.stem == MOVES_THE_LAST
