"""Decode speed: the engine through its protocol against llama.cpp's own loop."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import psutil

from app.core.sampling import SamplerSettings
from app.protocol.answers import Done, Loaded
from app.protocol.parts import ChatMessage
from tests.bench.figure import Bar, Figure
from tests.bench.models import STARTER_NAME, starter
from tests.support.engine import ROOT, Engine

CONTEXT = 2048
BATCH = 256
TOKENS = 128
PAIRS = 11
FEWEST = 3
LONGEST = 60.0
"""Seconds after which a busy machine makes no further pairs."""
SYSTEM = "You answer at length."
QUESTION = "Write a long story about a lighthouse keeper and the sea."
"""A question that the starter model, drawing greedily, answers with far more than TOKENS tokens."""
PROMPT = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
"""What the starter model's template makes of the two messages; the engine's count of tokens must be the same."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What both loops run with."""

    threads: int
    on_gpu: bool
    """All layers on it, with flash attention; otherwise neither."""


def measure() -> Iterator[Figure]:
    """Pairs of runs, one after the other on the same machine, so that what else runs slows both."""
    with TemporaryDirectory() as folder, Engine(Path(folder)) as engine:
        on_gpu = any(device.kind in ("gpu", "integrated") for device in engine.hello.devices)
        setting = Setting(_threads(), on_gpu)
        loaded = engine.load(
            starter(),
            context=CONTEXT,
            threads=setting.threads,
            gpu_layers=None if on_gpu else 0,
            flash_attention="on" if on_gpu else "off",
        )
        assert isinstance(loaded, Loaded), loaded
        with _bare_process(setting, Path(folder)) as bare:
            _pair(engine, bare, ours_first=True)  # warm-up
            pairs: list[tuple[float, float]] = []
            started = perf_counter()
            while len(pairs) < PAIRS and (len(pairs) < FEWEST or perf_counter() - started < LONGEST):
                pairs.append(_pair(engine, bare, ours_first=len(pairs) % 2 == 0))
    ours, theirs = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
    runs = tuple(ours for ours, _ in pairs)
    yield Figure(
        f"{STARTER_NAME}, {TOKENS} tokens, {setting.threads} threads (the median pair)",
        ours,
        "tok/s",
        theirs,
        "bare loop",
        Bar("at least", 0.97),
        runs,
    )


def _threads() -> int:
    """The physical cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))


def _bare_process(setting: Setting, folder: Path) -> "subprocess.Popen[str]":
    prompt = folder / "prompt.txt"
    prompt.write_text(PROMPT, encoding="utf-8")
    figures = (CONTEXT, BATCH, setting.threads, -1 if setting.on_gpu else 0, int(setting.on_gpu))
    command = [sys.executable, "-m", "tests.bench.bare_loop", str(starter()), *map(str, figures), str(prompt)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    )


def _pair(engine: Engine, bare: "subprocess.Popen[str]", *, ours_first: bool) -> tuple[float, float]:
    """Tokens a second of the engine and of the bare loop, in turns the one or the other first."""
    if ours_first:
        ours = _ours(engine)
        return ours.figures.tokens_per_second, _theirs(bare, ours.figures.tokens.prompt)
    theirs = _theirs(bare, None)
    return _ours(engine).figures.tokens_per_second, theirs


def _ours(engine: Engine) -> Done:
    """A turn of the engine, which has to read its whole prompt."""
    messages = [
        ChatMessage(id="system", role="system", text=SYSTEM),
        ChatMessage(id="m0", role="user", text=QUESTION),
    ]
    greedy = SamplerSettings(temperature=0)
    done = engine.generate(messages, sampler=greedy, max_tokens=TOKENS, use_kv=False, started=1.0)
    assert isinstance(done, Done), done
    assert done.figures.tokens.generated == TOKENS
    return done


def _theirs(bare: "subprocess.Popen[str]", prompt: int | None) -> float:
    """Tokens a second of the bare loop; its prompt must have as many tokens as the engine's."""
    assert bare.stdin is not None and bare.stdout is not None
    bare.stdin.write(f"{TOKENS}\n")
    bare.stdin.flush()
    answer: dict[str, Any] = json.loads(bare.stdout.readline())
    assert prompt in (None, answer["prompt"])
    speed: float = answer["speed"]
    return speed
