"""Conversations of other programs: what of them comes in, and what is said of the rest."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.core.conversation import ConversationTree
from app.core.errors import EmberError
from app.storage.archive_format import RefusedError
from app.storage.imports import packed as packed_files
from app.storage.imports.bounds import CONVERSATION_LIMIT
from app.storage.imports.draft import Taken
from app.storage.imports.reading import Refused, conversations_in
from tests.unit.storage.imports import samples
from tests.unit.storage.imports.samples import chatgpt, chatgpt_node


def found_in(folder: Path, content: Any, name: str = "file.json") -> list[Taken | Refused]:
    """What a file with this content holds."""
    path = folder / name
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(data)
    return list(conversations_in(path))


def only(found: list[Taken | Refused]) -> Taken:
    """The one conversation that was taken."""
    (one,) = found
    assert isinstance(one, Taken), one
    return one


def tree_in(folder: Path, content: Any) -> ConversationTree:
    """The tree of the one conversation."""
    return only(found_in(folder, content)).imported.tree


def shown(tree: ConversationTree) -> list[tuple[str, str]]:
    """The shown path as roles and texts."""
    return [(message.role, message.text) for message in tree.path()]


# --- ChatGPT ---------------------------------------------------------------------------------------------------------


def test_chatgpts_tree_keeps_all_branches_and_shows_the_current_one(tmp_path: Path) -> None:
    tree = tree_in(tmp_path, [samples.CHATGPT])
    assert shown(tree) == [("user", "Why?"), ("assistant", "Stone."), ("user", "Where?"), ("assistant", "Rome.")]
    assert sorted(message.text for message in tree.messages.values()) == [
        "Layers.",
        "Rome.",
        "Stone.",
        "Where?",
        "Why?",
    ]
    assert tree.conversation.title == "Roads"
    assert (tree.conversation.created, tree.conversation.updated) == (1700000000.0, 1700000100.0)
    assert tree.path()[1].model == "gpt-4o"


def test_many_conversations_in_one_file_are_taken_one_by_one_and_a_broken_one_is_named(tmp_path: Path) -> None:
    broken = chatgpt(chatgpt_node("q", "sys", "user", "Why?"), title="Broken") | {"mapping": {"x": 7}}
    found = found_in(tmp_path, [samples.CHATGPT, broken, samples.CHATGPT])
    assert [type(each) for each in found] == [Taken, Refused, Taken]
    assert isinstance(found[1], Refused)
    assert found[1].title == "Broken"


def test_a_first_conversation_that_is_too_large_keeps_none_of_the_others_out(tmp_path: Path) -> None:
    large = chatgpt(chatgpt_node("q", "sys", "user", "x" * CONVERSATION_LIMIT))
    found = found_in(tmp_path, [large, samples.CHATGPT])
    assert [type(each) for each in found] == [Refused, Taken]


def test_parts_that_are_no_text_are_named_where_they_stood(tmp_path: Path) -> None:
    content = {
        "content_type": "multimodal_text",
        "parts": [{"content_type": "image_asset_pointer", "asset_pointer": "file-service://x"}, "What is this?"],
    }
    taken = only(found_in(tmp_path, [chatgpt(chatgpt_node("q", "sys", "user", content))]))
    assert shown(taken.imported.tree) == [
        ("user", "[Here was an image; only text was imported.]\n\nWhat is this?"),
    ]
    assert taken.remarks == ("Parts that are no text are named where they stood (1).",)


def test_an_attached_file_is_named(tmp_path: Path) -> None:
    node = chatgpt_node("q", "sys", "user", "Read it.", metadata={"attachments": [{"name": "roads.pdf"}]})
    assert "a file “roads.pdf”" in shown(tree_in(tmp_path, [chatgpt(node)]))[0][1]


def test_a_reply_with_thoughts_and_tools_becomes_one_message_and_the_tools_are_counted(tmp_path: Path) -> None:
    thoughts = {"content_type": "thoughts", "thoughts": [{"summary": "Plan", "content": "Look it up."}]}
    found = chatgpt(
        chatgpt_node("q", "sys", "user", "Why?"),
        chatgpt_node("t", "q", "assistant", thoughts),
        chatgpt_node("c", "t", "assistant", {"content_type": "code", "text": "search('x')"}, recipient="browser"),
        chatgpt_node("o", "c", "tool", {"content_type": "execution_output", "text": "3 hits"}),
        chatgpt_node("a", "o", "assistant", "Layers."),
    )
    taken = only(found_in(tmp_path, [found]))
    assert shown(taken.imported.tree) == [
        ("user", "Why?"),
        ("assistant", "<think>\nPlan\n\nLook it up.\n</think>\n\nLayers."),
    ]
    assert taken.remarks == ("Steps of tools and hidden instructions were left out (2).",)


def test_a_reply_that_was_given_twice_after_a_tool_stays_two_messages(tmp_path: Path) -> None:
    found = chatgpt(
        chatgpt_node("q", "sys", "user", "Why?"),
        chatgpt_node("a", "q", "assistant", "I look it up."),
        chatgpt_node("o", "a", "tool", "3 hits"),
        chatgpt_node("b", "o", "assistant", "Layers."),
        chatgpt_node("c", "o", "assistant", "Stone."),
    )
    tree = tree_in(tmp_path, [found])
    assert [each.text for each in tree.messages.values()] == ["Why?", "I look it up.", "Layers.", "Stone."]
    assert [text for _, text in shown(tree)] == ["Why?", "I look it up.", "Stone."]


def test_code_that_was_said_in_parts_is_code_too(tmp_path: Path) -> None:
    content = {"content_type": "code", "language": "python", "parts": ["print('```')"]}
    found = chatgpt(chatgpt_node("q", "sys", "user", "Code?"), chatgpt_node("a", "q", "assistant", content))
    assert shown(tree_in(tmp_path, [found]))[1] == ("assistant", "````python\nprint('```')\n````")


def test_custom_instructions_and_what_is_remembered_are_counted_as_left_out(tmp_path: Path) -> None:
    custom = {"content_type": "user_editable_context", "user_profile": "A mason.", "user_instructions": "Be brief."}
    memory = {"content_type": "model_editable_context", "parts": ["Likes stone."]}
    found = chatgpt(
        chatgpt_node("c", "sys", "user", custom),
        chatgpt_node("m", "c", "assistant", memory),
        chatgpt_node("q", "m", "user", "Why?"),
        chatgpt_node("r", "q", "assistant", {"content_type": "reasoning_recap", "content": "Thought for 8 s"}),
        chatgpt_node("a", "r", "assistant", "Layers."),
    )
    taken = only(found_in(tmp_path, [found]))
    assert shown(taken.imported.tree) == [("user", "Why?"), ("assistant", "Layers.")]
    assert taken.remarks == ("Steps of tools and hidden instructions were left out (2).",)


def test_what_a_tool_quotes_from_a_page_is_left_out(tmp_path: Path) -> None:
    quote = {"content_type": "tether_quote", "url": "https://x", "domain": "x", "title": "X", "text": "Long ago …"}
    listed = {"content_type": "tether_browsing_display", "result": "Hits", "summary": None, "assets": []}
    found = chatgpt(
        chatgpt_node("q", "sys", "user", "Why?"),
        chatgpt_node("b", "q", "tool", listed),
        chatgpt_node("t", "b", "tool", quote),
        chatgpt_node("a", "t", "assistant", "Layers."),
    )
    taken = only(found_in(tmp_path, [found]))
    assert shown(taken.imported.tree) == [("user", "Why?"), ("assistant", "Layers.")]
    assert taken.remarks == ("Steps of tools and hidden instructions were left out (1).",)


def test_marks_of_sources_become_what_chatgpt_shows_in_their_place(tmp_path: Path) -> None:
    cite, entity = "\ue200cite\ue202turn0search1\ue201", '\ue200entity\ue202["city","Rome"]\ue201'
    references = [{"matched_text": cite, "alt": "([Roads](https://x))"}, {"matched_text": entity, "alt": "Rome"}]
    found = chatgpt(
        chatgpt_node("q", "sys", "user", "Why?"),
        chatgpt_node("a", "q", "assistant", f"In {entity}. {cite}", metadata={"content_references": references}),
        chatgpt_node("q2", "a", "user", "And?"),
        chatgpt_node("a2", "q2", "assistant", f"Nothing told.{cite} Open \ue200x"),
    )
    texts = [text for _, text in shown(tree_in(tmp_path, [found]))]
    assert texts == ["Why?", "In Rome. ([Roads](https://x))", "And?", "Nothing told. Open \ue200x"]


def test_a_reply_says_how_it_ended_and_what_was_only_thought(tmp_path: Path) -> None:
    found = chatgpt(
        chatgpt_node("q", "sys", "user", "Why?"),
        chatgpt_node("t", "q", "assistant", "Stone or sand?", channel="analysis"),
        chatgpt_node(
            "a", "t", "assistant", "Lay", channel="final", metadata={"finish_details": {"type": "interrupted"}}
        ),
    )
    reply = tree_in(tmp_path, [found]).path()[-1]
    assert (reply.text, reply.finish_reason) == ("<think>\nStone or sand?\n</think>\n\nLay", "cancelled")


def test_a_message_of_weight_zero_is_taken_like_any_other(tmp_path: Path) -> None:
    found = chatgpt(
        chatgpt_node("q", "sys", "user", "Why?"), chatgpt_node("a", "q", "assistant", "Layers.", weight=0.0)
    )
    assert shown(tree_in(tmp_path, [found]))[1] == ("assistant", "Layers.")


def packed(path: Path, **members: str) -> list[Taken | Refused]:
    """What a zip file with these members holds; a member's name has its suffix behind an underscore."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images/photo.png", "x" * 100_000)
        for name, text in members.items():
            archive.writestr(name.replace("_", "."), text)
    return list(conversations_in(path))


def test_chatgpts_export_is_taken_packed_as_it_comes(tmp_path: Path) -> None:
    found = packed(
        tmp_path / "export.zip",
        chat_html="<p>",
        user_json="{}",
        conversations_json=json.dumps([samples.CHATGPT]),
    )
    assert shown(only(found).imported.tree)[0] == ("user", "Why?")


def test_a_long_export_in_several_packed_files_is_taken_whole_and_a_broken_one_is_named(tmp_path: Path) -> None:
    members = {f"conversations-00{at}_json": json.dumps([samples.CHATGPT]) for at in range(2)}
    found = packed(tmp_path / "export.zip", **members, **{"conversations-002_json": "[broken"})
    assert [type(each) for each in found] == [Taken, Taken, Refused]
    assert isinstance(found[2], Refused)
    assert found[2].title == "conversations-002.json"


def test_a_packed_export_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path: Path) -> None:
    (found,) = packed(tmp_path / "export.zip", conversations_json="[" + " " * 20_000_000 + "]")
    assert isinstance(found, Refused)
    assert found.reason == "it unpacks to far more than its size"


def test_of_a_packed_export_no_more_than_a_bound_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_files, "TOTAL_LIMIT", 3000)
    members = {f"conversations-00{at}_json": json.dumps([samples.CHATGPT]) for at in range(4)}
    found = packed(tmp_path / "export.zip", **members)
    assert isinstance(found[0], Taken)
    assert isinstance(found[-1], Refused) and "larger than" in found[-1].reason


def test_a_packed_export_that_points_to_before_its_beginning_is_refused(tmp_path: Path) -> None:
    packed(tmp_path / "export.zip", conversations_json=json.dumps([samples.CHATGPT]))
    data = bytearray((tmp_path / "export.zip").read_bytes())
    data[-6:-2] = (int.from_bytes(data[-6:-2], "little") + 1_000_000).to_bytes(4, "little")  # where the directory is
    (tmp_path / "export.zip").write_bytes(data)
    (found,) = conversations_in(tmp_path / "export.zip")
    assert isinstance(found, Refused)
    assert found.reason == "it is damaged"


def test_a_zip_file_of_anything_else_is_no_conversation(tmp_path: Path) -> None:
    with pytest.raises(EmberError, match="not an Ember archive"):
        packed(tmp_path / "photos.zip", notes_txt="Hello")


# --- the others ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("several", [False, True])
def test_llama_cpps_web_ui_keeps_branches_reasoning_and_the_system_prompt(several: bool, tmp_path: Path) -> None:
    tree = tree_in(tmp_path, [samples.LLAMA_WEB] if several else samples.LLAMA_WEB)
    assert tree.conversation.system_prompt == "Be brief."
    assert shown(tree) == [("user", "Why?"), ("assistant", "<think>\nLet me see.\n</think>\n\nStone.")]
    assert len(tree.messages) == 3
    assert tree.path()[0].created == 1700000000.0


def session_lines(**header: Any) -> bytes:
    """The same conversation in the lines that the web UI writes since 2026."""
    first = {"type": "session", "harness": "llama.app"} | samples.LLAMA_WEB["conv"] | header
    rest = [{"type": "message", "message": each} for each in samples.LLAMA_WEB["messages"]]
    return "\n".join(map(json.dumps, [first, *rest])).encode()


def test_llama_cpps_session_lines_are_the_same_conversation(tmp_path: Path) -> None:
    tree = only(found_in(tmp_path, session_lines(), "session.jsonl")).imported.tree
    assert shown(tree) == [("user", "Why?"), ("assistant", "<think>\nLet me see.\n</think>\n\nStone.")]
    assert tree.conversation.title == "Roads"
    assert tree.conversation.id == tree_in(tmp_path, samples.LLAMA_WEB).conversation.id


def test_several_sessions_come_packed_or_one_behind_the_other(tmp_path: Path) -> None:
    first, second = session_lines(), session_lines(id="conv-2", name="Bridges")
    behind = found_in(tmp_path, first + b"\n" + second, "sessions.jsonl")
    together = packed(tmp_path / "all.zip", a_jsonl=first.decode(), b_jsonl=second.decode())
    for found in (behind, together):
        taken = [each.imported.tree.conversation.title for each in found if isinstance(each, Taken)]
        assert taken == ["Roads", "Bridges"]


def test_a_session_whose_messages_name_no_parent_is_one_branch(tmp_path: Path) -> None:
    lines = [
        {"type": "session", "harness": "my-agent", "id": "b1"},
        {"type": "message", "message": {"role": "user", "content": [{"type": "text", "text": "Why?"}]}},
        {"type": "message", "message": {"role": "assistant", "content": "Layers.", "reasoning_content": "Hm."}},
    ]
    tree = only(found_in(tmp_path, "\n".join(map(json.dumps, lines)).encode(), "trace.jsonl")).imported.tree
    assert shown(tree) == [("user", "Why?"), ("assistant", "<think>\nHm.\n</think>\n\nLayers.")]


def test_lm_studios_own_system_prompt_of_a_chat_stands_among_its_settings(tmp_path: Path) -> None:
    fields = [
        {"key": "llm.prediction.temperature", "value": 0.7},
        {"key": "llm.prediction.systemPrompt", "value": "Be kind."},
    ]
    chat = samples.LM_STUDIO | {"systemPrompt": "", "perChatPredictionConfig": {"fields": fields}}
    assert tree_in(tmp_path, chat).conversation.system_prompt == "Be kind."


def test_lm_studios_steps_tell_the_time_and_the_model(tmp_path: Path) -> None:
    step = {
        "type": "contentBlock",
        "stepIdentifier": "1748000002000-0.52",
        "content": [{"type": "text", "text": "Stone."}],
        "genInfo": {"identifier": "gemma-3-1b", "stats": {"tokensPerSecond": 9}},
    }
    version = {"type": "multiStep", "role": "assistant", "steps": [step]}
    chat = samples.LM_STUDIO | {"messages": [samples.LM_STUDIO["messages"][0], {"versions": [version]}]}
    reply = tree_in(tmp_path, chat).path()[1]
    assert (reply.created, reply.model) == (1748000002.0, "gemma-3-1b")


def test_lm_studio_keeps_versions_and_shows_the_selected_one(tmp_path: Path) -> None:
    tree = tree_in(tmp_path, samples.LM_STUDIO)
    assert tree.conversation.system_prompt == "Be brief."
    assert shown(tree) == [("user", "Why?"), ("assistant", "Stone.")]
    other = next(message for message in tree.messages.values() if "Layers" in message.text)
    assert other.text == "<think>\nLet me see.\n</think>\n\nLayers."
    assert other.model == "gemma-3"


@pytest.mark.parametrize("begin", ["thread.json", "messages.jsonl"])
def test_jans_two_files_are_read_together_whichever_is_given(begin: str, tmp_path: Path) -> None:
    (tmp_path / "thread.json").write_text(json.dumps(samples.JAN_THREAD))
    (tmp_path / "messages.jsonl").write_text("\n".join(map(json.dumps, samples.JAN_MESSAGES)) + "\n")
    tree = only(list(conversations_in(tmp_path / begin))).imported.tree
    assert tree.conversation.title == "Roads"
    assert tree.conversation.system_prompt == "Be brief."
    assert shown(tree) == [("user", "Why?"), ("assistant", "Layers.")]
    assert tree.path()[1].model == "gemma"


@pytest.mark.parametrize("assistants", [["jan"], [{"id": "jan", "model": {"id": "*", "engine": "llamacpp"}}], []])
def test_jans_threads_name_a_model_only_where_there_is_one(assistants: Any, tmp_path: Path) -> None:
    (tmp_path / "thread.json").write_text(json.dumps(samples.JAN_THREAD | {"assistants": assistants}))
    (tmp_path / "messages.jsonl").write_text("\n".join(map(json.dumps, samples.JAN_MESSAGES)))
    tree = only(list(conversations_in(tmp_path / "thread.json"))).imported.tree
    assert tree.conversation.title == "Roads"
    assert tree.path()[1].model is None


def test_jans_messages_alone_are_a_conversation_too(tmp_path: Path) -> None:
    (tmp_path / "messages.jsonl").write_text("\n".join(map(json.dumps, samples.JAN_MESSAGES)))
    tree = only(list(conversations_in(tmp_path / "messages.jsonl"))).imported.tree
    assert tree.conversation.title == "Why?"


@pytest.mark.parametrize(
    "content",
    [
        samples.OPENAI,
        [samples.OPENAI],
        samples.OPENAI["messages"],
        json.dumps(samples.OPENAI, indent=2).encode(),
        b"\xef\xbb\xbf  " + json.dumps(samples.OPENAI).encode() + b"\r\n",
    ],
)
def test_openais_form_is_taken_alone_in_a_list_and_as_bare_messages(content: Any, tmp_path: Path) -> None:
    tree = tree_in(tmp_path, content)
    assert tree.conversation.system_prompt == "Be brief."
    assert shown(tree) == [("user", "Why?"), ("assistant", "Layers.")]


def test_one_conversation_a_line_is_taken_line_by_line(tmp_path: Path) -> None:
    line = json.dumps(samples.OPENAI).encode()
    assert [type(each) for each in found_in(tmp_path, line + b"\n" + line + b"\n{broken}\n")] == [Taken, Taken, Refused]


def test_openais_parts_are_read_and_images_named(tmp_path: Path) -> None:
    content = [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": "data:x"}}]
    tree = tree_in(tmp_path, {"messages": [{"role": "user", "content": content}, {"role": "tool", "content": "x"}]})
    assert shown(tree) == [("user", "Look.\n\n[Here was an image; only text was imported.]")]


def test_the_same_conversation_has_the_same_ids_each_time(tmp_path: Path) -> None:
    first, second = (tree_in(tmp_path, [samples.CHATGPT]) for _ in range(2))
    assert first.conversation.id == second.conversation.id
    assert list(first.messages) == list(second.messages)


# --- Open WebUI and GPT4All ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_list", [True, False])
def test_open_webuis_tree_keeps_all_branches_with_thoughts_as_thoughts(tmp_path: Path, as_list: bool) -> None:
    tree = tree_in(tmp_path, [samples.OPEN_WEBUI] if as_list else samples.OPEN_WEBUI)
    thought = "<think>\nIs it a < b?\nLet me see.\n</think>"
    assert shown(tree) == [("user", "Why?"), ("assistant", f"{thought}\nStone.")]
    assert [each.text for each in tree.messages.values()] == ["Why?", "Layers.", f"{thought}\nStone."]
    conversation = tree.conversation
    assert (conversation.title, conversation.system_prompt) == ("Roads", "Be brief.")
    assert (conversation.created, conversation.updated) == (1700000000.0, 1700000100.0)
    assert tree.path()[-1].model == "gemma3:1b"


def test_of_open_webuis_chats_files_and_steps_of_tools_are_named(tmp_path: Path) -> None:
    step = '<details type="tool_calls" done="true" arguments="&quot;x&quot;">\n<summary>Ran</summary>\n</details>'
    messages = {
        "q": {"role": "user", "content": "Why?", "parentId": None, "files": [{"type": "image"}, {"name": "a.pdf"}]},
        "a": {"role": "assistant", "content": f"{step}\nLayers. <details>mine</details>", "parentId": "q"},
    }
    taken = only(found_in(tmp_path, [{"chat": {"history": {"messages": messages, "currentId": "a"}}}]))
    (_, asked), (_, answered) = shown(taken.imported.tree)
    assert "an image" in asked and "a file “a.pdf”" in asked
    assert answered == "[Here was a step of a tool; only text was imported.]\nLayers. <details>mine</details>"
    assert taken.remarks == ("Parts that are no text are named where they stood (3).",)


def test_endless_beginnings_of_details_cost_no_time(tmp_path: Path) -> None:
    text = '<details type="reasoning" ' * 20_000 + '<details type="reasoning">' * 20_000
    messages = {"a": {"role": "assistant", "content": text, "parentId": None}}
    tree = tree_in(tmp_path, [{"chat": {"history": {"messages": messages}}}])
    assert tree.path()[0].text == text.strip()


@pytest.mark.parametrize("chat", [{"history": {"messages": {}}}, {"history": 7}, {}, {"history": {"messages": []}}])
def test_an_open_webui_chat_without_messages_is_refused(tmp_path: Path, chat: Any) -> None:
    (refused,) = found_in(tmp_path, [{"title": "Roads", "chat": chat}])
    assert isinstance(refused, Refused) and refused.title == "Roads"


def test_a_file_of_gpt4all_is_refused_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="only GPT4All reads"):
        found_in(tmp_path, b"\xf5\xd5\x53\xcc\x00\x00\x00\x0c more", "gpt4all-1.chat")


# --- what LM Studio and Jan say beside the words ---------------------------------------------------------------------


def test_a_step_in_which_gpt_oss_thinks_is_a_thought(tmp_path: Path) -> None:
    steps = [
        {
            "type": "contentBlock",
            "prefix": "<|start|>assistant<|channel|>analysis<|message|>",
            "content": [{"type": "text", "text": "Let me see."}],
        },
        {"type": "contentBlock", "content": [{"type": "toolCallRequest", "name": "search"}]},
        {"type": "contentBlock", "content": [{"type": "text", "text": "Layers."}]},
    ]
    version = {"type": "multiStep", "role": "assistant", "steps": steps}
    taken = only(found_in(tmp_path, {"messages": [{"versions": [version]}]}))
    (said,) = [text for _, text in shown(taken.imported.tree)]
    assert said.startswith("<think>\nLet me see.\n</think>\n\n[Here was a step of a tool")
    assert said.endswith("Layers.")


def test_jans_thread_tells_model_and_title_in_any_version_and_what_was_stopped(tmp_path: Path) -> None:
    thread = {"id": "t", "object": "thread", "summary": "Roads", "assistants": ["jan"], "model": {"id": "gemma"}}
    (tmp_path / "thread.json").write_text(json.dumps(thread))
    stopped = samples.jan_message("assistant", "Lay") | {"status": "stopped"}
    lines = [json.dumps(line) for line in (samples.jan_message("user", "Why?"), stopped)]
    tree = only(found_in(tmp_path, "\n".join(lines).encode(), "messages.jsonl")).imported.tree
    assert tree.conversation.title == "Roads"
    assert (tree.path()[-1].model, tree.path()[-1].finish_reason) == ("gemma", "cancelled")
