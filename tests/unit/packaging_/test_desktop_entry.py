"""Ember's entry in the menu of a Linux desktop, and the type of .ember files."""

import configparser
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import desktop_entry
from app.cli_parser import make_parser, with_open
from app.gui.application import ICON
from app.services.backup_copies import SUFFIX
from desktop_entry import MARK, Places, SetupError, data_home, install, remove
from tests.unit.packaging_.checkout import ROOT, copy_of_project

NAMESPACE = {"mime": "http://www.freedesktop.org/standards/shared-mime-info"}
ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
"""Of a string in a desktop entry (Desktop Entry Specification, Possible value types)."""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "data home")


def copy_of_entry(folder: Path) -> Path:
    """A checkout with a .venv that was made."""
    python = copy_of_project(folder) / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    shutil.copytree(ROOT / "packaging" / "linux", folder / "packaging" / "linux")
    shutil.copytree(ROOT / "app" / "resources" / "icons", folder / "app" / "resources" / "icons")
    return folder


def unescaped(value: str) -> str:
    """A string of a desktop entry."""
    told, at = "", 0
    while at < len(value):
        if value[at] == "\\":
            told, at = told + ESCAPES[value[at + 1]], at + 2
        else:
            told, at = told + value[at], at + 1
    return told


def values(path: Path) -> dict[str, str]:
    """The keys of a desktop entry."""
    parser = configparser.RawConfigParser(delimiters="=", comment_prefixes="#", strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path, encoding="utf-8")
    assert parser.sections() == ["Desktop Entry"]
    return {key: unescaped(value) for key, value in parser["Desktop Entry"].items()}


def command_line(entry: dict[str, str], *files: Path) -> list[str]:
    """What a desktop starts (Desktop Entry Specification, The Exec key)."""
    words, rest = [], entry["Exec"]
    while rest := rest.lstrip(" "):
        if rest[0] == '"':
            word, at = "", 1
            while rest[at] != '"':
                at += rest[at] == "\\"
                word, at = word + rest[at], at + 1
            rest = rest[at + 1 :]
        else:
            word, _, rest = rest.partition(" ")
        words.append(word)
    arguments = [[str(file) for file in files] if word == "%F" else [word.replace("%%", "%")] for word in words]
    return [argument for each in arguments for argument in each]


def test_a_desktop_finds_the_entry_the_type_and_the_icon(places: Places) -> None:
    install(ROOT, Path(sys.executable), places)
    entry = values(places.entry)
    assert (entry["Type"], entry["Name"], entry["Terminal"]) == ("Application", "Ember", "false")
    assert entry["TryExec"] == sys.executable
    assert (places.data_home / "icons/hicolor/scalable/apps" / f"{entry['Icon']}.svg").read_bytes() == ICON.read_bytes()
    kinds = ET.parse(places.file_type).getroot()
    assert [kind.get("type") for kind in kinds] == entry["MimeType"].rstrip(";").split(";")
    assert [glob.get("pattern") for glob in kinds.findall("*/mime:glob", NAMESPACE)] == ["*.ember", f"*{SUFFIX}"]


def test_a_double_click_starts_the_checkout_and_opens_the_files(places: Places) -> None:
    install(ROOT, Path(sys.executable), places)
    entry = values(places.entry)
    files = [Path("/home/me/a chat.ember"), Path("/home/me/100 %.ember")]
    line = command_line(entry, *files)
    assert line[:3] == [sys.executable, "-m", "app"]
    assert make_parser().parse_args(with_open(line[3:])).open == files
    assert make_parser().parse_args(with_open(command_line(entry)[3:])).open == []
    done = subprocess.run([*command_line(entry), "--version"], cwd=entry["Path"], capture_output=True, text=True)
    assert done.stdout.startswith("Ember ")


@pytest.mark.parametrize("name", ["two words", 'a"b', "back\\slash", "$HOME", "`ls`", "100 %F", "%%", "ünïcode", "a;b"])
def test_any_name_of_a_folder_comes_back_from_the_entry_as_it_was(places: Places, tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    install(root, python, places)
    entry = values(places.entry)
    assert command_line(entry) == [str(python), "-m", "app"]
    assert (entry["TryExec"], entry["Path"]) == (str(python), str(root))


@pytest.mark.parametrize("name", ["a=b", "a\nb"])
def test_a_folder_that_an_entry_cannot_name_is_refused(places: Places, tmp_path: Path, name: str) -> None:
    python = tmp_path / name / "python"
    python.parent.mkdir()
    python.touch()
    with pytest.raises(SetupError, match="plainer name"):
        install(tmp_path, python, places)
    assert not places.data_home.exists()


def test_without_an_environment_nothing_is_written(places: Places, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="make setup"):
        install(tmp_path, tmp_path / ".venv" / "bin" / "python", places)
    assert not places.data_home.exists()


def test_it_goes_again_without_a_trace(places: Places) -> None:
    install(ROOT, Path(sys.executable), places)
    install(ROOT, Path(sys.executable), places)  # a second time changes nothing
    assert remove(places)
    assert [path for path in places.data_home.rglob("*") if path.is_file()] == []
    assert not remove(places)


def test_the_entry_of_another_program_of_that_name_stays(places: Places) -> None:
    places.entry.parent.mkdir(parents=True)
    places.entry.write_text("[Desktop Entry]\nType=Application\nName=Ember Mug\nExec=mug\n")
    with pytest.raises(SetupError, match="not Ember's"):
        install(ROOT, Path(sys.executable), places)
    assert not remove(places)
    assert "Ember Mug" in places.entry.read_text()


@pytest.mark.parametrize(
    ("named", "expected"),
    [("/srv/data", "/srv/data"), ("", "~/.local/share"), ("relative", "~/.local/share")],
)
def test_the_files_go_where_the_desktop_looks(named: str, expected: str) -> None:
    assert data_home({"XDG_DATA_HOME": named}) == Path(expected).expanduser()
    assert data_home({}) == Path("~/.local/share").expanduser()


def test_the_desktop_is_told_or_it_is_said_what_is_missing(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    told = tmp_path / "told"
    tool = tools / "update-mime-database"
    tool.write_text(f"#!/bin/sh\nprintf '%s' \"$1\" > {told}\n")
    tool.chmod(0o700)
    monkeypatch.setenv("PATH", str(tools))
    desktop_entry.tell_desktop(places)
    assert told.read_text() == str(places.data_home / "mime")
    assert "update-desktop-database is missing" in capsys.readouterr().err


def test_the_command_puts_it_there_and_takes_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(desktop_entry, "tell_desktop", lambda _places: None)
    monkeypatch.setattr(desktop_entry, "ROOT", copy_of_entry(tmp_path / "checkout"))
    assert desktop_entry.main([]) == 0
    assert "is in the desktop's menu" in capsys.readouterr().err
    assert MARK in (tmp_path / "applications" / "ember.desktop").read_text()
    assert desktop_entry.main(["--remove"]) == 0
    assert "no entry for Ember any more" in capsys.readouterr().err
    assert not (tmp_path / "applications" / "ember.desktop").exists()
