"""The model's own chat template, rendered in a sandbox with bounds, and what is done where it fails.

The template comes with the model file, so it is untrusted: jinja2's ImmutableSandboxedEnvironment, at most
TIME_LIMIT seconds and OUTPUT_LIMIT characters. The environment's settings and helpers are those that chat templates
are written for (Hugging Face transformers, `apply_chat_template`).
"""

import contextlib
import ctypes
import json
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import psutil
from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.core.ledger import placeholder

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

TIME_LIMIT = 2.0
"""Seconds; a 2,000-message chat takes about 0.02 s."""
OUTPUT_LIMIT = 16 * 1024 * 1024
SOURCE_LIMIT = 1024 * 1024
LONGEST_PRODUCT = 1_000_000
"""Characters or items that one multiplication in a template may give."""

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

CHATML_FORM = -1

LONGEST_NUMBER = 4096
"""Bits; computing with millions of them holds the interpreter's lock for longer than any time limit."""
MEMORY_LIMIT = 512 * 1024 * 1024
"""Bytes that a rendering may add to the process, where the system can hold it to that (Linux)."""

Turn = tuple[str, str]
"""A role and a text."""


class TemplateFailure(Exception):
    """The template raised, took too long or wrote too much; the message says which."""


class TimeUp(BaseException):
    """Raised inside a rendering that is out of time; no template can catch it."""


class _Generation(Extension):
    """`{% generation %}`, with which templates mark replies for training; it renders its body."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The body alone."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox that also refuses to multiply texts and lists into the gigabytes."""

    intercepted_binops = frozenset({"*", "**", "//", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse `'a' * 10**9` and the like before it is computed."""
        whole = [number for number in (left, right) if isinstance(number, int)]
        if any(number.bit_length() > LONGEST_NUMBER for number in whole):
            raise SecurityError("a whole number in the template is too large")
        if operator == "**" and not (abs(left) <= 10**6 and abs(right) <= 64):
            raise SecurityError("a power in the template is too large")
        if operator == "*":
            for sized, times in ((left, right), (right, left)):
                if isinstance(sized, str | list | tuple) and len(sized) * int(times) > LONGEST_PRODUCT:
                    raise SecurityError("a repetition in the template is too long")
        return super().call_binop(context, operator, left, right)


def _raise_exception(message: str) -> None:
    """What templates call to refuse a conversation."""
    raise TemplateError(str(message)[:500])


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    """JSON without jinja's HTML escaping, as templates expect."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _environment() -> _Sandbox:
    """The environment that chat templates are written for."""
    environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    return environment


@dataclass(frozen=True, slots=True)
class Rendering:
    """A rendered prompt, and sentences about what had to be changed for it."""

    text: str
    notices: tuple[str, ...] = ()
    form: int = 0
    """Which of the forms was taken; CHATML_FORM for the common template."""


class ChatTemplate:
    """A model's template; renders conversations in the closest form that it takes."""

    def __init__(self, source: str | None, bos: str = "", eos: str = "") -> None:
        """Compile `source`; without one, or with one that does not compile, ChatML takes its place."""
        self._environment = _environment()
        self._variables = {"bos_token": bos, "eos_token": eos}
        self._chatml = self._environment.from_string(CHATML)
        self.notices: tuple[str, ...] = ()
        self._template = self._chatml
        if source is None:
            self.notices = (
                "This model brings no chat template, so a common one (ChatML) is used; replies may suffer.",
            )
            return
        try:
            if len(source) > SOURCE_LIMIT:
                raise TemplateFailure("it is too long")
            self._template = _within_bounds(lambda: self._environment.from_string(source))
        except TemplateFailure as failure:
            logger.warning("chat template does not compile: %s", failure)
            self.notices = (
                "This model's chat template cannot be read, so a common one (ChatML) is used; replies may suffer.",
            )

    def render(self, turns: Sequence[Turn], *, started: float, check: str = "") -> Rendering:
        """The prompt for these turns, generation prompt included.

        `started` is the Unix time that templates see as now: the conversation's, so that its prompt stays the same.
        `check` is the system text that must appear. The forms tried, in order: as it is; the system text in the
        first message; neighbours of one role joined; ChatML.
        """
        reason = ""
        for number, (form, notice) in enumerate(_forms(turns)):
            try:
                text = self._bounded(self._template, form, started)
            except TemplateFailure as failure:
                reason = str(failure)
                logger.info("chat template refused a conversation: %s", reason)
                continue
            if check.strip() and check.strip() not in text:
                reason = "it leaves the instructions out"
                continue
            return Rendering(text, (notice,) if notice else (), number)
        text = self._bounded(self._chatml, list(turns), started)
        sentence = f"This model's chat template failed ({reason}), so a common one (ChatML) is used for this reply."
        return Rendering(text, (sentence,), CHATML_FORM)

    def skeleton(
        self, roles: Sequence[str], mark: str, rendering: Rendering, *, started: float, generation_prompt: bool = True
    ) -> str | None:
        """The same prompt with a placeholder for each message's text; None where the template takes none."""
        turns = [(role, placeholder(number, mark)) for number, role in enumerate(roles)]
        try:
            if rendering.form == CHATML_FORM:
                return self._bounded(self._chatml, turns, started, generation_prompt)
            forms = _forms(turns)
            return (
                self._bounded(self._template, forms[rendering.form][0], started, generation_prompt)
                if rendering.form < len(forms)
                else None
            )
        except TemplateFailure:
            return None

    def _bounded(self, template: Any, turns: Sequence[Turn], started: float, generation_prompt: bool = True) -> str:
        """Render on a thread of its own, which is stopped when its time is up.

        Raises TemplateFailure.
        """
        messages = [{"role": role, "content": text} for role, text in turns]
        now = datetime.fromtimestamp(started)
        variables = {
            **self._variables,
            "messages": messages,
            "add_generation_prompt": generation_prompt,
            "strftime_now": now.strftime,
            "date_string": now.strftime("%d %b %Y"),
        }
        return _within_bounds(lambda: _collect(template.generate(variables)))


def _forms(turns: Sequence[Turn]) -> list[tuple[list[Turn], str]]:
    """The conversation as it is, then as templates that refuse it may still take it; each with what to tell."""
    plain = list(turns)
    forms = [(plain, "")]
    folded = _fold_system(plain)
    if folded != plain:
        forms.append(
            (
                folded,
                "This model takes no instructions of their own, so they stand before your first message.",
            )
        )
    joined = _join_neighbours(folded)
    if joined != folded:
        forms.append((joined, "This model wants messages in turn, so neighbouring ones were joined for it."))
    return forms


def _fold_system(turns: Sequence[Turn]) -> list[Turn]:
    """The system text put before the first message of the person."""
    if not turns or turns[0][0] != "system":
        return list(turns)
    system, rest = turns[0][1], list(turns[1:])
    if rest and rest[0][0] == "user":
        return [("user", f"{system}\n\n{rest[0][1]}"), *rest[1:]]
    return [("user", system), *rest]


def _join_neighbours(turns: Sequence[Turn]) -> list[Turn]:
    """Messages of one role that follow each other, as one."""
    joined: list[Turn] = []
    for role, text in turns:
        if joined and joined[-1][0] == role:
            joined[-1] = (role, f"{joined[-1][1]}\n\n{text}")
        else:
            joined.append((role, text))
    return joined


def _collect(pieces: Any) -> str:
    """The pieces of a rendering as one text, as long as it stays within bounds."""
    text, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > OUTPUT_LIMIT:
            raise TemplateFailure("it wrote too much")
        text.append(piece)
    return "".join(text)


@contextlib.contextmanager
def _bounded_memory() -> Iterator[None]:
    """Let allocations beyond MEMORY_LIMIT fail with a MemoryError, on Linux; llama.cpp does nothing meanwhile."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = psutil.Process().memory_info().vms + MEMORY_LIMIT
    if resource.RLIM_INFINITY not in (soft, hard):
        limit = min(limit, soft, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class _Renderer:
    """A thread for one rendering after the other; it stands ready before memory is bounded, so that it can start."""

    def __init__(self) -> None:
        """Start it."""
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="chat template", daemon=True)
        self._thread.start()

    def run(self, call: Callable[[], None]) -> bool:
        """Wait for `call`, which is interrupted after TIME_LIMIT; False then, and this is of no more use."""
        ended = threading.Event()

        def work() -> None:
            try:
                call()
            finally:
                ended.set()

        self._calls.put(work)
        if ended.wait(TIME_LIMIT):
            return True
        self._calls.put(None)
        if self._thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident), ctypes.py_object(TimeUp))
        ended.wait(TIME_LIMIT)  # it ends at its next bytecode; one that hangs in C is left behind
        return False

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # the conversation that it rendered


_free: list[_Renderer] = []
"""Those that wait for the next rendering."""


def _within_bounds(call: Callable[[], _T]) -> _T:
    """The result of `call`, run on a thread that is interrupted after TIME_LIMIT; raises TemplateFailure."""
    outcome: list[_T | Exception] = []

    def work() -> None:
        try:
            outcome.append(call())
        except TemplateFailure as failure:
            outcome.append(failure)
        except TimeUp:
            outcome.append(TemplateFailure("it took too long"))
        except MemoryError:
            outcome.append(TemplateFailure("it needed too much memory"))
        except RecursionError:
            outcome.append(TemplateFailure("it is nested too deeply"))
        except Exception as error:  # noqa: BLE001 - the template is foreign code: it can raise anything at all
            outcome.append(TemplateFailure(str(error)[:300] or type(error).__name__))

    try:
        renderer = _free.pop()
    except IndexError:
        renderer = _Renderer()
    with _bounded_memory():
        is_free = renderer.run(work)
    if is_free:
        _free.append(renderer)
    result = outcome[0] if outcome else TemplateFailure("it took too long")
    if isinstance(result, Exception):
        raise result
    return result
