"""The same conversation's state kept by llama-cpp-python's own save_state and load_state."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.protocol.parts import ChatMessage
from tests.bench.figure import Figure
from tests.bench.models import STARTER_NAME, starter
from tests.bench.saved_turns import engine_with
from tests.bench.short_turn import first_word, text_of_tokens
from tests.support.engine import ROOT

TOKENS = 2000
CONTEXT = 4096

THEIRS = """
import json, sys, time
import llama_cpp
model, context, text, folder = sys.argv[1], int(sys.argv[2]), open(sys.argv[3], encoding="utf-8").read(), sys.argv[4]
llama = llama_cpp.Llama(model, n_ctx=context, n_batch=256, n_gpu_layers=0, verbose=False)
tokens = llama.tokenize(text.encode())
llama.eval(tokens)
began = time.perf_counter()
state = llama.save_state()
saved = time.perf_counter() - began
began = time.perf_counter()
size = 0
with open(folder + "/state", "wb") as file:  # what its disk cache pickles
    for part in (state.llama_state, state.input_ids.tobytes(), state.scores.tobytes()):
        size += file.write(part)
written = time.perf_counter() - began
llama.reset()
began = time.perf_counter()
with open(folder + "/state", "rb") as file:
    state.llama_state = file.read(len(state.llama_state))
    file.read()
llama.load_state(state)
loaded = time.perf_counter() - began
print(json.dumps({"tokens": len(tokens), "bytes": size, "save": saved + written, "load": loaded}))
"""


def measure() -> Iterator[Figure]:
    """What is written for a turn that adds a few words to a long conversation, and how long it takes to come back."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with engine_with(starter(), folder) as engine:
            text = text_of_tokens(engine, TOKENS)
            talk = [ChatMessage(id="m0", role="user", text=text)]
            _, reply = first_word(engine, talk)
            saved = engine.saved(reply)
            talk.append(ChatMessage(id="m1", role="assistant", text=reply.text, token_ids=reply.token_ids))
            talk.append(ChatMessage(id="m2", role="user", text="Go on."))
            _, second = first_word(engine, talk)
            follow_up = engine.saved(second)
        with engine_with(starter(), folder) as engine:
            _, done = first_word(engine, [*talk[:-1], ChatMessage(id="m3", role="user", text="And now?")])
        theirs = _theirs(text, folder)
    name = f"{STARTER_NAME}, {theirs['tokens']:,} tokens"
    mib = 2**20
    yield Figure(f"{name}: a first turn writes", theirs["bytes"] / mib, "MiB", saved.bytes_written / mib, "Ember")
    yield Figure(
        f"{name}: a turn of a few words writes", theirs["bytes"] / mib, "MiB", follow_up.bytes_written / mib, "Ember"
    )
    restore = 1e3 * done.figures.seconds.restore
    yield Figure(f"{name}: loading it again", 1e3 * theirs["load"], "ms", restore, "Ember")


def _theirs(text: str, folder: Path) -> dict[str, Any]:
    """What llama-cpp-python's high-level class does, in a process of its own."""
    file = folder / "text.txt"
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", THEIRS, str(starter()), str(CONTEXT), str(file), str(folder)]
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, cwd=ROOT).stdout
    answer: dict[str, Any] = json.loads(output)
    return answer
