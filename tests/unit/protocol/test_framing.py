"""Frames survive any cutting of the stream, and nothing larger than the cap is taken in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.framing import LENGTH, MAX_FRAME, FrameReader, FramingError, frame


@given(st.lists(st.binary(max_size=200), max_size=8), st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_payloads_come_out_as_they_went_in_however_the_stream_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(payload) for payload in payloads)
    reader, received, at = FrameReader(), [], 0
    while at < len(stream):
        size = cuts[at % len(cuts)]
        received += list(reader.feed(stream[at : at + size]))
        at += size
    assert received == payloads
    assert reader.pending == 0


def test_a_frame_that_is_cut_off_stays_pending() -> None:
    reader = FrameReader()
    assert list(reader.feed(frame(b"whole") + frame(b"cut off")[:-2])) == [b"whole"]
    assert reader.pending == len(frame(b"cut off")) - 2


def test_a_length_above_the_cap_is_refused_before_its_bytes_arrive() -> None:
    with pytest.raises(FramingError):
        list(FrameReader().feed(LENGTH.pack(MAX_FRAME + 1)))


def test_frames_before_a_bad_length_are_still_delivered() -> None:
    reader = FrameReader(max_frame=10)
    received = []
    with pytest.raises(FramingError):
        for payload in reader.feed(frame(b"good") + LENGTH.pack(11)):
            received.append(payload)
    assert received == [b"good"]


def test_a_payload_above_the_cap_is_not_sent() -> None:
    with pytest.raises(FramingError):
        frame(bytes(MAX_FRAME + 1))
