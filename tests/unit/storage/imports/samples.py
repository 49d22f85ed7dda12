"""Small files as other programs write them, made up for the tests."""

from typing import Any

Json = Any


def chatgpt_node(key: str, parent: str | None, role: str, content: Json, **rest: Json) -> Json:
    """One node of ChatGPT's mapping; `content` is a text or the content object."""
    if isinstance(content, str):
        content = {"content_type": "text", "parts": [content]}
    metadata = {"model_slug": "gpt-4o"} if role == "assistant" else {}
    message = {"id": key, "author": {"role": role}, "create_time": 1700000000.5, "content": content}
    message |= {"recipient": "all", "metadata": metadata} | rest
    return {"id": key, "message": message, "parent": parent, "children": []}


def chatgpt(*nodes: Json, **rest: Json) -> Json:
    """One conversation of conversations.json, its root and its empty system message before the nodes."""
    root = {"id": "root", "message": None, "parent": None, "children": []}
    system = chatgpt_node("sys", "root", "system", "", metadata={"is_visually_hidden_from_conversation": True})
    return {
        "title": "Roads",
        "create_time": 1700000000.0,
        "update_time": 1700000100.0,
        "mapping": {node["id"]: node for node in (root, system, *nodes)},
        "current_node": nodes[-1]["id"] if nodes else "sys",
        "conversation_id": "6543-abc",
    } | rest


CHATGPT = chatgpt(
    chatgpt_node("q", "sys", "user", "Why?"),
    chatgpt_node("a1", "q", "assistant", "Layers."),
    chatgpt_node("a2", "q", "assistant", "Stone."),
    chatgpt_node("q2", "a2", "user", "Where?"),
    chatgpt_node("a3", "q2", "assistant", "Rome."),
)
LLAMA_WEB: Json = {
    "conv": {"id": "conv-1", "name": "Roads", "lastModified": 1700000000000, "currNode": "4"},
    "messages": [
        {"id": "0", "convId": "conv-1", "type": "root", "role": "system", "content": "", "parent": None},
        {"id": "1", "type": "system", "role": "system", "content": "Be brief.", "parent": "0"},
        {"id": "2", "type": "text", "role": "user", "content": "Why?", "parent": "1", "timestamp": 1700000000000},
        {"id": "3", "type": "text", "role": "assistant", "content": "Layers.", "parent": "2", "model": "Gemma"},
        {
            "id": "4", "type": "text", "role": "assistant", "content": "Stone.", "parent": "2",
            "reasoningContent": "Let me see.", "extra": None,
        },
    ],
}  # fmt: skip
LM_STUDIO: Json = {
    "name": "Roads",
    "createdAt": 1700000000000,
    "systemPrompt": "Be brief.",
    "messages": [
        {
            "versions": [{"type": "singleStep", "role": "user", "content": [{"type": "text", "text": "Why?"}]}],
            "currentlySelected": 0,
        },
        {
            "versions": [
                {
                    "type": "multiStep",
                    "role": "assistant",
                    "senderInfo": {"senderName": "gemma-3"},
                    "steps": [
                        {
                            "type": "contentBlock",
                            "content": [{"type": "text", "text": "Let me see."}],
                            "style": {"type": "thinking"},
                        },
                        {"type": "contentBlock", "content": [{"type": "text", "text": "Layers."}]},
                        {"type": "debugInfoBlock", "debugInfo": "secret"},
                    ],
                },
                {
                    "type": "multiStep",
                    "role": "assistant",
                    "steps": [{"type": "contentBlock", "content": [{"type": "text", "text": "Stone."}]}],
                },
            ],
            "currentlySelected": 1,
        },
    ],
}
OPEN_WEBUI: Json = {
    "id": "chat-1",
    "user_id": "someone",
    "title": "Roads",
    "created_at": 1700000000,
    "updated_at": 1700000100,
    "chat": {
        "title": "Roads",
        "models": ["gemma3:1b"],
        "params": {"system": "Be brief."},
        "history": {
            "currentId": "a2",
            "messages": {
                "q": {"id": "q", "parentId": None, "childrenIds": ["a1", "a2"], "role": "user", "content": "Why?",
                      "timestamp": 1700000001},
                "a1": {"id": "a1", "parentId": "q", "childrenIds": [], "role": "assistant", "content": "Layers.",
                       "model": "gemma3:1b", "done": True},
                "a2": {"id": "a2", "parentId": "q", "childrenIds": [], "role": "assistant", "model": "gemma3:1b",
                       "content": '<details type="reasoning" done="true" duration="3">\n'
                                  "<summary>Thought for 3 seconds</summary>\n"
                                  "> Is it a &lt; b?\n> Let me see.\n</details>\nStone."},
            },
        },
        "messages": [],
        "timestamp": 1700000000000,
    },
}  # fmt: skip
JAN_THREAD: Json = {
    "id": "thread-1",
    "object": "thread",
    "title": "Roads",
    "created": 1700000000,
    "assistants": [{"id": "jan", "instructions": "Be brief.", "model": {"id": "gemma"}}],
}


def jan_message(role: str, text: str) -> Json:
    """One line of messages.jsonl."""
    content = [{"type": "text", "text": {"value": text, "annotations": []}}]
    return {"id": "m", "thread_id": "thread-1", "role": role, "content": content, "created_at": 1700000000}


JAN_MESSAGES: Json = [jan_message("user", "Why?"), jan_message("assistant", "Layers.")]
OPENAI: Json = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Layers."},
    ]
}
