"""`import` while a window has the data folder, and files that a second start hands over to it."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.conversation import ConversationTree
from app.core.errors import EmberError
from app.protocol.answers import SavedAdopted, TransferProgress
from app.protocol.parts import AdoptedTip
from app.protocol.requests import AdoptSaved, Cancel
from app.services.background import wait_for_background
from app.services.import_command import hand_over
from app.services.import_files import ImportOrder, ImportProgress, ImportReport
from app.services.single_instance import SingleInstance
from app.services.window_socket import ImportRequest, OpenRequest, ask_window, decode_request
from app.storage.archive import checked_archive
from tests.support.command import Outcome, begin
from tests.unit.services.archives import FINGERPRINT, TIP, archive_with_state
from tests.unit.services.fakes import FakeProcess
from tests.unit.services.test_cache_command import Window
from tests.unit.storage.imports import samples
from tests.unit.storage.made import CHAT, forked_tree


@pytest.fixture
def window(tmp_path: Path, qtbot: QtBot, processes: list[FakeProcess]) -> Iterator[Window]:
    made = Window(tmp_path / "data", qtbot)
    yield made
    made.workspace.close()


def command(window: Window, *arguments: Path | str) -> Outcome:
    """`python -m app import …`, answered by the window, whose engine takes any state."""
    process = begin("import", "--data-dir", window.root, *arguments)
    answered = 0

    def ended() -> bool:
        nonlocal answered
        for asked in window.engine.asked(AdoptSaved)[answered:]:
            answered += 1
            tip = AdoptedTip(tip=bytes.fromhex(TIP), root=bytes.fromhex(FINGERPRINT))
            window.engine.say(TransferProgress(id=asked.id, done=500, total=1000))
            window.engine.say(SavedAdopted(id=asked.id, tips=(tip,), files=1, bytes=1000, trouble=""))
        return process.poll() is not None

    window.wait(ended)
    out, err = process.communicate()
    return Outcome(process.returncode, out.decode(), err.decode())


def test_the_open_window_imports_text_and_trusted_state(window: Window, tmp_path: Path) -> None:
    window.open_store()
    outcome = command(window, archive_with_state(tmp_path / "roads.ember"), "--trust-state", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    told = outcome.line
    assert (told["id"], told["messages"], told["outcome"]) == (CHAT, 6, "new")
    assert (told["state"], told["state_bytes"]) == ("used", 1000)
    assert [tip.tip.hex() for tip in window.workspace.roots.of(CHAT)] == [TIP]
    assert not list((window.root / "staging").iterdir())


def test_without_trust_the_window_leaves_the_state_and_the_command_says_how_to_trust_it(
    window: Window, tmp_path: Path
) -> None:
    window.open_store()
    outcome = command(window, archive_with_state(tmp_path / "roads.ember"))
    assert outcome.out == f"{CHAT}\n"
    assert "another installation" in outcome.err
    assert "--trust-state" in outcome.err
    assert not window.engine.asked(AdoptSaved)


def test_what_the_window_refuses_is_told_and_the_rest_is_in(window: Window, tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(samples.OPENAI))
    (tmp_path / "bad.json").write_text("{")
    outcome = command(window, tmp_path / "good.json", tmp_path / "bad.json", "--json")
    assert outcome.status == 1
    assert [line.get("title") for line in outcome.lines] == ["Why?", ""]
    assert "“bad.json” was not imported because" in outcome.err


def test_a_missing_model_is_named_with_where_it_came_from(window: Window, tmp_path: Path) -> None:
    tree = forked_tree()
    tree = ConversationTree(replace(tree.conversation, model_path="/far/away/Gemma.gguf"), tree.messages)
    (tmp_path / "roads.ember").write_bytes(checked_archive(tree, {}, "acme/Gemma-GGUF"))
    (tmp_path / "again.ember").write_bytes(checked_archive(tree, {}, "acme/Gemma-GGUF"))
    outcome = command(window, tmp_path / "roads.ember", tmp_path / "again.ember")
    sentence = "It was written with “Gemma.gguf” from “acme/Gemma-GGUF”, which is not known here."
    assert outcome.err == f"{sentence} Get it with: models get acme/Gemma-GGUF\n"
    told = command(window, tmp_path / "roads.ember", "--json").line
    assert (told["model"], told["model_source"], told["model_missing"]) == ("Gemma.gguf", "acme/Gemma-GGUF", sentence)


def test_what_an_archive_calls_a_repository_is_no_command_to_copy(window: Window, tmp_path: Path) -> None:
    tree = forked_tree()
    tree = ConversationTree(replace(tree.conversation, model_path="/far/away/Gemma.gguf"), tree.messages)
    (tmp_path / "roads.ember").write_bytes(checked_archive(tree, {}, "a/b; rm -rf ~"))
    assert "models get" not in command(window, tmp_path / "roads.ember").err


def test_merging_through_the_window_finds_nothing_new_the_second_time(window: Window, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(samples.OPENAI))
    first = command(window, tmp_path / "one.json")
    second = command(window, tmp_path / "one.json", "--merge")
    assert first.out == second.out
    assert "nothing in the file was new" in second.err
    assert len(window.workspace.store.summaries()) == 1


def test_state_that_the_engine_cannot_take_leaves_the_text(window: Window, tmp_path: Path) -> None:
    window.open_store()
    process = begin("import", "--data-dir", window.root, archive_with_state(tmp_path / "a.ember"), "--trust-state")
    window.wait_for(AdoptSaved)
    window.engine.die()
    window.wait(lambda: process.poll() is not None)
    out, err = process.communicate()
    assert (process.returncode, out.decode()) == (0, f"{CHAT}\n")
    assert "The state in the archive was not taken; the text is all there." in err.decode()


def test_a_command_that_is_broken_off_stops_the_import(window: Window, tmp_path: Path) -> None:
    window.open_store()
    process = begin("import", "--data-dir", window.root, archive_with_state(tmp_path / "a.ember"), "--trust-state")
    adoption = window.wait_for(AdoptSaved)
    process.kill()
    process.communicate()
    window.wait(lambda: [each.request for each in window.engine.asked(Cancel)] == [adoption])


def test_a_window_that_is_busy_gets_only_the_latest_progress(window: Window, tmp_path: Path) -> None:
    (tmp_path / "many.json").write_text(json.dumps([samples.CHATGPT, samples.LLAMA_WEB, samples.OPENAI]))
    told: list[ImportProgress] = []
    reports: list[ImportReport] = []
    order = ImportOrder((tmp_path / "many.json",))
    window.workspace.imports.run(order, reports.append, pytest.fail, told.append)
    wait_for_background()
    window.wait(lambda: bool(reports))
    assert told == [ImportProgress(3, 3)]


def test_a_workspace_closes_while_state_is_being_taken(window: Window, tmp_path: Path) -> None:
    window.open_store()
    process = begin("import", "--data-dir", window.root, archive_with_state(tmp_path / "a.ember"), "--trust-state")
    window.wait_for(AdoptSaved)
    process.kill()
    process.communicate()
    window.workspace.close()  # must not wait for an engine that never answers
    assert not list((window.root / "staging").iterdir())


# --- a second start ---------------------------------------------------------------------------------------------------


def test_files_that_a_second_start_is_given_reach_the_window_whatever_they_are_called(
    window: Window, tmp_path: Path
) -> None:
    paths: list[Path] = []
    window._requests.open_requested.connect(paths.extend)
    strange = [tmp_path / "-rf {x}\n.ember", Path(os.fsdecode(b"/tmp/\xff\xfe.ember")), Path("beside.ember")]
    asked: list[bytes] = []

    class Second(SingleInstance):
        """Only notes what would be sent: the window lives in this very process."""

        def ask_other(self, request: bytes, take: object) -> bool:
            asked.append(request)
            assert callable(take)
            return bool(take(b'{"kind":"answer","answer":{}}'))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.services.window_socket.SingleInstance", Second)
        assert hand_over(strange, window.root)
    (request,) = map(decode_request, asked)
    assert isinstance(request, OpenRequest)
    window._requests._begin(request, lambda _reply: None)
    assert paths == [*strange[:2], Path.cwd() / "beside.ember"]


def test_more_files_than_fit_into_one_line_are_handed_over_in_several(window: Window, tmp_path: Path) -> None:
    many = [tmp_path / f"{number:0200d}.ember" for number in range(100)]
    lines: list[bytes] = []

    class Second(SingleInstance):
        """As above."""

        def ask_other(self, request: bytes, take: object) -> bool:
            lines.append(request)
            assert callable(take)
            return bool(take(b'{"kind":"answer","answer":{}}'))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.services.window_socket.SingleInstance", Second)
        hand_over(many, window.root)
    assert len(lines) > 1
    assert all(len(line) < 16 * 1024 for line in lines)
    requests = [decode_request(line) for line in lines]
    handed = [name for each in requests if isinstance(each, OpenRequest) for name in each.paths]
    assert handed == [os.fsencode(path) for path in many]


def test_where_no_window_is_nothing_is_handed_over(tmp_path: Path) -> None:
    assert not hand_over([tmp_path / "a.ember"], tmp_path / "data")
    assert ask_window(ImportRequest(paths=()), tmp_path / "data") is None


def test_an_import_beside_another_command_is_refused_in_a_sentence(window: Window, tmp_path: Path) -> None:
    window.workspace.instance._server.close()  # type: ignore[union-attr]
    outcome = command(window, tmp_path / "a.json")
    assert outcome.status == 1
    assert outcome.err.startswith("Ember is open on")
    with pytest.raises(EmberError):
        window.workspace.store.get(CHAT)
