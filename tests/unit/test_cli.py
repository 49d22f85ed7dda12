"""The commands that need no engine, and what is said about wrong calls."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app import __version__
from app.cli import run
from app.core.conversation import Conversation, ConversationId, ConversationTree
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from tests.unit.storage.made import CHAT, forked_tree, put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with two conversations; the one with messages is the older one."""
    database = Database.open(tmp_path / "ember.db", tmp_path / "backups")
    store = ConversationStore(database)
    put(store, forked_tree())
    newer = Conversation(ConversationId("d" * 32), title="Tax letter", created=60.0, updated=300.0)
    put(store, ConversationTree(newer, {}))
    database.close()
    return tmp_path


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """A command takes Ctrl+C for itself; the test run gets it back."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


Shown = pytest.CaptureFixture[str]


def refused(capsys: Shown, *arguments: str) -> str:
    """What is said about a wrong call."""
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err


def failed(capsys: Shown, *arguments: str) -> str:
    """What is said about a failure."""
    assert run(arguments) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.endswith(".\n")
    return told.err


# --- wrong calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "invalid choice"),
        (["send"], "TEXT"),
        (["send", "  "], "empty"),
        (["send", "Hi", ""], "empty"),
        (["send", "--max-tokens", "0", "Hi"], "--max-tokens"),
        (["send", "--max-tokens", "-5", "Hi"], "--max-tokens"),
        (["send", "--max-tokens", "many", "Hi"], "--max-tokens"),
        (["send", "--max-tokens", "9" * 30, "Hi"], "--max-tokens"),
        (["send", "--max-tokens", "9" * 5000, "Hi"], "--max-tokens"),
        (["send", "--context", "0", "Hi"], "--context"),
        (["send", "--context", "9" * 30, "Hi"], "--context"),
        (["send", "--temperature", "nan", "Hi"], "temperature"),
        (["send", "--temperature", "inf", "Hi"], "temperature"),
        (["send", "--temperature", "-1", "Hi"], "temperature"),
        (["send", "--temperature", "warm", "Hi"], "--temperature"),
        (["send", "--seed", "-1", "Hi"], "seed"),
        (["send", "--seed", "4294967296", "Hi"], "seed"),
        (["send", "--frob", "Hi"], "--frob"),
        (["show"], "ID"),
        (["export", "x"], "--to"),
        (["export", "--to", "y"], "--all"),
        (["export", "x", "--all", "--to", "y"], "--all"),
        (["export", "x", "--to", "y", "--format", "pdf"], "pdf"),
        (["export", "x", "--to", "y.ember", "--branches", "one"], "all branches"),
        (["export", "x", "--to", "y.html", "--branches", "all"], "shown branch"),
        (["import"], "FILE"),
        (["conversations", "--data-dir"], "--data-dir"),
        (["conversations", "--data-dir", "~no-such-account/x"], "~no-such-account"),
    ],
)
def test_a_wrong_call_is_explained_in_one_sentence_and_ends_with_2(
    arguments: list[str], words: str, capsys: Shown
) -> None:
    assert words in refused(capsys, *arguments)


def test_the_version_is_told(capsys: Shown) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"Ember {__version__}\n"


# --- conversations and show -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [True, False])
def test_conversations_are_listed_the_newest_first_with_their_counts(before: bool, folder: Path, capsys: Shown) -> None:
    place = ["--data-dir", str(folder)]
    assert run([*place, "conversations", "--json"] if before else ["conversations", *place, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"id": "d" * 32, "title": "Tax letter", "created": 60.0, "updated": 300.0, "messages": 0},
        {"id": CHAT, "title": "Roman roads", "created": 50.0, "updated": 200.5, "messages": 6},
    ]


def test_without_json_a_conversation_is_one_line_whatever_its_title_is(folder: Path, capsys: Shown) -> None:
    database = Database.open(folder / "ember.db", folder / "backups")
    with database.transaction():
        database.write("UPDATE conversations SET title = 'a' || char(10) || 'b' WHERE id = ?", ("d" * 32,))
    database.close()
    assert run(["conversations", "--data-dir", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{'d' * 32}      0  a b", f"{CHAT}      6  Roman roads"]


def test_an_empty_folder_lists_nothing(tmp_path: Path, capsys: Shown) -> None:
    assert run(["conversations", "--data-dir", str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out == ""


def test_show_prints_the_path_that_is_shown(folder: Path, capsys: Shown) -> None:
    assert run(["show", CHAT, "--data-dir", str(folder)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# Roman roads\n\n[system]\nBe brief.\n\n[user]\nWhy did Roman roads last?\n")
    assert "[user]\nWhich ones remain?" in text
    assert "(The engine ended unexpectedly.)" in text
    assert "They had *layers*." not in text


def test_show_json_has_every_branch_and_the_path(folder: Path, capsys: Shown) -> None:
    assert run(["show", CHAT[:6], "--json", "--data-dir", str(folder)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["conversation"]["system_prompt"] == "Be brief."
    assert shown["conversation"]["sampler"]["temperature"] == 0
    assert [message["text"] for message in shown["messages"]][1] == "They had *layers*."
    assert len(shown["messages"]) == 6
    assert len(shown["path"]) == 4
    assert shown["messages"][1]["figures"]["tokens"]["reused_memory"] == 10


@pytest.mark.parametrize("name", ["f" * 32, "zz", " ", "%", "*", "\udcff", "x\0y", "' OR 1=1 --"])
def test_a_conversation_that_is_not_there_is_said(name: str, folder: Path, capsys: Shown) -> None:
    for arguments in (["show", name], ["export", name, "--to", str(folder / "x.ember")]):
        assert "There is no conversation" in failed(capsys, *arguments, "--data-dir", str(folder))
    assert not (folder / "x.ember").exists()


# --- export and import ------------------------------------------------------------------------------------------------


def test_an_exported_conversation_is_imported_as_a_copy_that_says_so(folder: Path, capsys: Shown, qtbot: QtBot) -> None:
    file = folder / "roads.ember"
    assert run(["export", CHAT, "--to", str(file), "--data-dir", str(folder)]) == 0
    assert run(["import", str(file), "--json", "--data-dir", str(folder)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["id"] != CHAT
    assert told["title"] != "Roman roads"
    assert told["title"].startswith("Roman roads")
    assert told["messages"] == 6


def test_an_place_another_folder_keeps_id_and_title(folder: Path, tmp_path: Path, capsys: Shown, qtbot: QtBot) -> None:
    file = folder / "roads.ember"
    run(["export", CHAT, "--to", str(file), "--data-dir", str(folder)])
    assert run(["import", str(file), "--data-dir", str(tmp_path / "other")]) == 0
    assert capsys.readouterr().out == f"{CHAT}\n"


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        (["--to", "roads.md"], b"# Roman roads"),
        (["--to", "roads.txt", "--format", "markdown"], b"# Roman roads"),
        (["--to", "roads.ember"], b"PK"),
        (["--to", "roads.md", "--format", "ember"], b"PK"),
    ],
)
def test_the_format_is_the_one_named_or_the_file_names(
    arguments: list[str], begins: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert run(["export", CHAT, *arguments, "--data-dir", str(folder)]) == 0
    assert Path(arguments[1]).read_bytes().startswith(begins)


def test_an_export_to_a_place_that_cannot_be_written_is_said(folder: Path, capsys: Shown) -> None:
    target = folder / "a folder"
    target.mkdir()
    place = ["--data-dir", str(folder)]
    assert "could not be written" in failed(capsys, "export", CHAT, "--to", str(target / "no" / "x.md"), *place)
    assert "could not be made" in failed(capsys, "export", CHAT, CHAT, "--to", str(target / "no" / "x"), *place)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (None, "Roman roads.ember"),
        ("text", "Roman roads.txt"),
        ("html", "Roman roads.html"),
        ("json", "Roman roads.json"),
    ],
)
def test_a_folder_takes_a_file_of_each_conversation_and_nothing_in_it_is_overwritten(
    form: str | None, name: str, folder: Path
) -> None:
    target = folder / "a folder"
    target.mkdir()
    (target / name).write_text("mine")
    chosen = ["--format", form] if form else []
    assert run(["export", CHAT, CHAT, "--to", str(target), *chosen, "--data-dir", str(folder)]) == 0
    stem, suffix = Path(name).stem, Path(name).suffix
    assert {path.name for path in target.iterdir()} == {name, f"{stem} (2){suffix}", f"{stem} (3){suffix}"}
    assert (target / name).read_text() == "mine"


def test_all_conversations_go_into_a_folder_also_where_there_is_but_one(folder: Path, tmp_path: Path) -> None:
    arguments = ["export", "--all", "--data-dir", str(folder), "--format", "text"]
    assert run([*arguments, "--to", str(tmp_path / "two")]) == 0
    assert {path.name for path in (tmp_path / "two").iterdir()} == {"Roman roads.txt", "Tax letter.txt"}
    database = Database.open(folder / "ember.db", folder / "backups")
    ConversationStore(database).delete(ConversationId("d" * 32))
    database.close()
    assert run([*arguments, "--to", str(tmp_path / "one")]) == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["Roman roads.txt"]


def test_a_pdf_file_is_the_windows(folder: Path, capsys: Shown) -> None:
    told = failed(capsys, "export", CHAT, "--to", str(folder / "x.pdf"), "--data-dir", str(folder))
    assert "Ember's window" in told
    assert not (folder / "x.pdf").exists()


@pytest.mark.parametrize(("branches", "there"), [("one", False), ("all", True)])
def test_one_branch_or_all_are_exported(branches: str, there: bool, folder: Path) -> None:
    for name in ("roads.md", "roads.json", "roads.txt"):
        arguments = ["--to", str(folder / name), "--branches", branches, "--data-dir", str(folder)]
        assert run(["export", CHAT, *arguments]) == 0
        assert ("bridges" in (folder / name).read_text(encoding="utf-8")) is there


def test_many_files_are_imported_and_each_that_is_not_is_named(
    folder: Path, tmp_path: Path, capsys: Shown, qtbot: QtBot
) -> None:
    for name in ("roads.ember", "roads.json", "roads.md"):
        run(["export", CHAT, "--to", str(folder / name), "--data-dir", str(folder)])
    (folder / "broken.json").write_text('{"messages": 7}')
    files = [str(folder / name) for name in ("roads.ember", "broken.json", "roads.json", "roads.md")]
    assert run(["import", *files, "--json", "--data-dir", str(tmp_path / "other")]) == 1
    told = capsys.readouterr()
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert [line.get("messages") for line in lines] == [6, 4, 6, None]
    assert "broken.json" in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("contents", [None, b"", b"not an archive" * 50, b"PK\x05\x06" + bytes(18)])
def test_an_import_of_what_is_no_conversation_is_said_and_changes_nothing(
    contents: bytes | None, folder: Path, capsys: Shown, qtbot: QtBot
) -> None:
    file = folder / "x.ember"
    if contents is not None:
        file.write_bytes(contents)
    failed(capsys, "import", str(file), "--data-dir", str(folder))
    run(["conversations", "--data-dir", str(folder)])
    assert len(capsys.readouterr().out.splitlines()) == 2


# --- folders ----------------------------------------------------------------------------------------------------------


def test_a_data_folder_with_a_file_in_its_way_is_said(tmp_path: Path, capsys: Shown) -> None:
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/inside"):
        for arguments in (["conversations"], ["show", "x"], ["import", "x.ember"]):
            told = failed(capsys, *arguments, "--data-dir", str(tmp_path / place))
            assert "a file stands where a folder should be" in told
    assert (tmp_path / "file").read_text() == "mine"


def test_a_damaged_database_is_kept_aside_by_a_command_that_writes_and_said(
    folder: Path, capsys: Shown, qtbot: QtBot
) -> None:
    file = folder / "roads.ember"
    run(["export", CHAT, "--to", str(file), "--data-dir", str(folder)])
    (folder / "ember.db").write_bytes(b"damage" * 5000)
    assert "damaged" in failed(capsys, "conversations", "--data-dir", str(folder))
    assert run(["import", str(file), "--data-dir", str(folder)]) == 0
    told = capsys.readouterr()
    (kept,) = folder.glob("ember.damaged-*.db")
    assert kept.name in told.err
    assert kept.read_bytes() == b"damage" * 5000
    assert told.out == f"{CHAT}\n"


# --- files in the place of a command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        ([], []),
        (["roads.ember"], ["roads.ember"]),
        (["./send"], ["./send"]),
        (["/tmp/two words.zip", "b.json"], ["/tmp/two words.zip", "b.json"]),
        (["--data-dir", "D", "roads.ember"], ["roads.ember"]),
        (["--data-dir=D.d", "a/folder"], ["a/folder"]),
        (["--open", "send"], ["send"]),
    ],
)
def test_files_open_the_window_with_them(
    arguments: list[str], files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[list[Path]] = []

    def window(_root: Path | None, given: list[Path]) -> int:
        opened.append(given)
        return 0

    monkeypatch.setattr("app.gui.application.run_window", window)
    assert run(arguments) == 0
    assert opened == [[Path(file) for file in files]]
