"""What headless commands print."""

import io
import os
import sys
from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.services import output


class Terminal(io.StringIO):
    """A stdout that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_text_cannot_command_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    output.write("a\x1b]0;title\x07b\x9b2Jc\r\n\td é🔥\u202e")
    assert terminal.getvalue() == "a�]0;title�b�2Jc�\n\td é🔥\u202e"


def test_a_file_receives_a_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stdout", file)
    output.write("a\x1b[2Jb\r\n")
    assert file.getvalue() == "a\x1b[2Jb\r\n"


def ascii_stream(path: Path) -> io.TextIOWrapper:
    """A stdout whose encoding knows few characters."""
    return io.TextIOWrapper(path.open("wb"), encoding="ascii")


def test_what_the_terminal_cannot_show_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ascii_stream(tmp_path / "out") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        output.prepare(as_json=False)
        output.write("é\ud800.")
    assert (tmp_path / "out").read_bytes() == b"??."


def test_json_is_utf_8_whatever_the_terminal_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ascii_stream(tmp_path / "out") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        output.prepare(as_json=True)
        output.write_json({"text": "é\x1b"})
    assert (tmp_path / "out").read_bytes() == '{"text": "é\\u001b"}\n'.encode()


def test_a_reader_that_is_gone_is_noticed_and_nothing_complains_later(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(output.ReaderGoneError):
            output.write("a")
        output.write("b")


def test_without_a_stdout_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(output.ReaderGoneError):
        output.write("a")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full disk at hand")
def test_a_full_disk_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(EmberError, match="the disk is full"):
            output.write("a")


def test_what_is_told_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    output.tell("“\x1b[2Jroads\x07” was not imported.")
    assert capsys.readouterr().err == "“\N{REPLACEMENT CHARACTER}[2Jroads\N{REPLACEMENT CHARACTER}” was not imported.\n"
