"""Messages keep their types over the wire, and what is no message is refused."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.load_options import LoadOptions
from app.core.sampling import SamplerSettings
from app.core.turn import Reread, TokenCounts, TurnFigures
from app.protocol.answers import Done
from app.protocol.messages import Answer, ProtocolError, Request, decode_answer, decode_request, encode
from app.protocol.parts import ChatMessage
from app.protocol.requests import Generate, LoadModel

GENERATE = Generate(
    id=7,
    conversation="c",
    messages=(ChatMessage(id="m", role="user", text="höher \U0001f525", token_ids=(1, 2, 2**31 - 1)),),
    sampler=SamplerSettings(temperature=0.0, seed=3),
    max_tokens=5,
)
DONE = Done(
    id=7,
    conversation="c",
    text="reply",
    token_ids=(4, 5),
    prompt_ids={"m": (1, 2)},
    finish_reason="stop",
    figures=TurnFigures(tokens=TokenCounts(prompt=3, evaluated=3), reread=Reread(0, "why")),
)


@pytest.mark.parametrize("request_", [GENERATE, LoadModel(id=1, path="/m.gguf", options=LoadOptions(context=512))])
def test_a_request_arrives_as_it_was_sent(request_: Request) -> None:
    assert decode_request(encode(request_)) == request_


@pytest.mark.parametrize("answer", [DONE])
def test_an_answer_arrives_as_it_was_sent(answer: Answer) -> None:
    assert decode_answer(encode(answer)) == answer


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_protocol_error(payload: bytes) -> None:
    for decode in (decode_request, decode_answer):
        with contextlib.suppress(ProtocolError):
            decode(payload)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "Unheard"},
        {"id": "seven"},
        {"messages": [{"id": "m", "role": "wizard", "text": ""}]},
        {"extra": 1},
        {"sampler": {"temperature": -1.0}},
        {"sampler": {"temperature": float("nan")}},
    ],
)
def test_a_message_with_a_wrong_field_is_refused(change: dict[str, object]) -> None:
    fields = msgspec.msgpack.decode(encode(GENERATE)) | change
    with pytest.raises(ProtocolError):
        decode_request(msgspec.msgpack.encode(fields))


def test_an_answer_is_no_request() -> None:
    with pytest.raises(ProtocolError):
        decode_request(encode(DONE))
