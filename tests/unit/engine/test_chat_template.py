"""A model's template is rendered as it asks, within bounds, and never without an answer."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from app.engine import chat_template
from app.engine.chat_template import CHATML, ChatTemplate

STARTED = time.mktime((2026, 3, 4, 12, 0, 0, 0, 0, -1))
HI = [("system", "Be kind."), ("user", "Hi")]


def render(source: str | None, turns: list[tuple[str, str]] | None = None) -> chat_template.Rendering:
    turns = turns or HI
    system = turns[0][1] if turns[0][0] == "system" else ""
    return ChatTemplate(source, bos="<s>", eos="</s>").render(turns, started=STARTED, check=system)


def test_a_template_sees_messages_and_special_tokens() -> None:
    each = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    source = f"{{{{ bos_token }}}}{each}{{{{ add_generation_prompt }}}}"
    assert render(source).text == "<s>[system]Be kind.[user]HiTrue"


def test_a_model_without_a_template_gets_chatml_and_says_so() -> None:
    template = ChatTemplate(None)
    assert "ChatML" in template.notices[0]
    assert template.render(HI, started=STARTED).text.startswith("<|im_start|>system\nBe kind.<|im_end|>")


TOO_DEEP = "".join(f"{{% for a{n} in messages %}}" for n in range(22)) + "{% endfor %}" * 22


@pytest.mark.parametrize("source", [TOO_DEEP, "{% for %}", "{{", "{% include 'x' %}{% endfor %}"])
def test_a_template_that_does_not_compile_gives_way_to_chatml(source: str) -> None:
    template = ChatTemplate(source)
    assert "ChatML" in template.notices[0]
    assert template.render(HI, started=STARTED).text.endswith("<|im_start|>assistant\n")


def test_a_template_that_refuses_a_system_role_gets_it_in_the_first_message() -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
        "<{{ m.role }}>{{ m.content }}{% endfor %}"
    )
    rendering = render(source)
    assert rendering.text == "<user>Be kind.\n\nHi"
    assert "instructions" in rendering.notices[0]


def test_a_template_that_ignores_the_system_role_gets_it_in_the_first_message() -> None:
    source = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    assert "Be kind." in render(source).text


def test_a_template_that_wants_turns_gets_neighbours_joined() -> None:
    source = (
        "{% for m in messages %}{% if loop.previtem is defined and loop.previtem.role == m.role %}"
        "{{ raise_exception('must alternate') }}{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    )
    rendering = render(source, [("user", "One"), ("user", "Two")])
    assert rendering.text == "<user>One\n\nTwo"
    assert rendering.notices


def test_a_template_that_always_raises_falls_back_with_its_reason() -> None:
    rendering = render("{{ raise_exception('out of order') }}")
    assert rendering.text == render(CHATML).text
    assert "out of order" in rendering.notices[0]


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__class__.__base__.__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ 'a' * 10**9 }}",
        "{{ [0] * 999999999 }}",
        "{{ 9 ** 9999999 }}",
        "{% for i in range(99999999) %}x{% endfor %}",
        "{{ undefined_function() }}",
        "{{ messages[99].content.x }}",
        "{{ 1 / 0 }}",
        "{% include '/etc/passwd' %}",
        "{{ 'a'.ljust(3000000000)|length }}",
        "{{ ('a'|center(2000000000))|length }}",
        "{{ ('%2000000000d' % messages|length)|length }}",
        "{% set ns = namespace(x='abcdefgh') %}{% for i in range(29) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=10) %}{% for i in range(22) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x // 7 }}",
    ],
)
def test_a_hostile_template_reaches_nothing_and_the_chat_goes_on(source: str) -> None:
    rendering = render(source)
    assert rendering.text == render(CHATML).text
    assert rendering.notices


def test_a_template_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "TIME_LIMIT", 0.2)
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    assert "took too long" in render(loops).notices[0]


def test_no_thread_is_started_while_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "TIME_LIMIT", 0.2)
    monkeypatch.setattr(chat_template, "_free", [])
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    bounded, start, is_bounded = chat_template._bounded_memory, threading.Thread.start, threading.Event()
    started: list[bool] = []

    @contextlib.contextmanager
    def watched() -> Iterator[None]:
        is_bounded.set()
        with bounded():
            yield
        is_bounded.clear()

    def noted(thread: threading.Thread) -> None:
        started.append(is_bounded.is_set())
        start(thread)

    monkeypatch.setattr(chat_template, "_bounded_memory", watched)
    monkeypatch.setattr(threading.Thread, "start", noted)
    for source in (CHATML, loops, CHATML):  # also after one that had to be interrupted
        render(source)
    assert started and not any(started)


def test_renderings_take_the_same_thread_until_one_has_to_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "_free", [])
    render(CHATML)
    (kept,) = chat_template._free
    render(CHATML)
    assert chat_template._free == [kept]
    monkeypatch.setattr(chat_template, "TIME_LIMIT", 0.2)
    render("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")
    assert kept not in chat_template._free
    kept._thread.join(10)
    assert not kept._thread.is_alive()


def test_a_template_that_writes_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "OUTPUT_LIMIT", 1000)
    assert "wrote too much" in render("{% for a in range(9999) %}{{ messages }}{% endfor %}").notices[0]


def test_the_date_a_template_prints_is_the_conversations() -> None:
    assert render("{{ strftime_now('%d %B %Y') }}Be kind.").text.startswith("04 March 2026")


def test_templates_that_mark_replies_for_training_are_understood() -> None:
    source = "Be kind.{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    assert render(source).text == "Be kind.Be kind.Hi"
