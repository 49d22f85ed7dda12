"""The prompt of a 2,000-message chat: template rendered and stored ids spliced, before a token is read."""

import time
from collections.abc import Iterator
from statistics import median

import llama_cpp
import msgspec

from app.core.conversation import ConversationTree
from app.core.load_decision import CPU_BATCH
from app.engine import library
from app.engine.chat_template import ChatTemplate
from app.engine.context import Context, ContextSettings
from app.engine.model import Model
from app.engine.prompt import PromptBuilder
from app.protocol.messages import decode_request, encode
from app.protocol.parts import ChatMessage
from app.protocol.requests import Generate
from tests.bench.figure import Figure, timed
from tests.bench.models import starter
from tests.bench.stored import long_chat

MESSAGES = 2000
SYSTEM = "Be brief."
RUNS = 7


def measure() -> Iterator[Figure]:
    """What the engine does before its first decode, on the starter model's vocabulary and template."""
    library.start()
    model = Model(starter(), 0, lambda _fraction: None, lambda: False)
    context = Context(model, ContextSettings(512, CPU_BATCH, 1, llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED))
    try:
        yield from _measure(model, context)
    finally:
        context.close()
        model.close()


def _measure(model: Model, context: Context) -> Iterator[Figure]:
    words = model.vocabulary
    template = ChatTemplate(model.chat_template, bos=words.text_of(words.bos), eos=words.text_of(words.eos))
    builder = PromptBuilder(words, template)
    unknown = _request(long_chat(MESSAGES))
    prompt = builder.build(unknown.messages, unknown.started).prompt
    known = msgspec.structs.replace(
        unknown,
        messages=tuple(
            msgspec.structs.replace(message, token_ids=prompt.learned.get(message.id)) for message in unknown.messages
        ),
    )
    turns = [(message.role, message.text) for message in known.messages]
    text = template.render(turns, started=known.started).text
    plain = timed(lambda: words.tokenize(text), RUNS)
    name = f"{MESSAGES:,} messages, {len(prompt.ids):,} tokens"
    for what, seconds in (
        ("prompt, all ids stored", timed(lambda: builder.build(known.messages, known.started), RUNS)),
        ("prompt, no ids stored", timed(lambda: builder.build(unknown.messages, unknown.started), RUNS)),
        ("the template alone", timed(lambda: template.render(turns, started=known.started), RUNS)),
        ("the request written and read", timed(lambda: decode_request(encode(known)), RUNS)),
    ):
        runs = tuple(1e3 * each for each in seconds)
        reference = 1e3 * median(plain)
        yield Figure(f"{name}: {what}", median(runs), "ms", reference, "to tokenise it all", runs=runs)


def _request(tree: ConversationTree) -> Generate:
    """The tree's path as the window asks for an answer to it, without token ids."""
    messages = [ChatMessage(id=message.id, role=message.role, text=message.text) for message in tree.path()[:-1]]
    return Generate(
        id=1,
        conversation=tree.conversation.id,
        messages=(ChatMessage(id="system", role="system", text=SYSTEM), *messages),
        started=time.time(),
    )
