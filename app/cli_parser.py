"""How the command line is written: every command with its arguments, and sentences for wrong calls."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from app import __version__

WRONG_CALL = 2
LARGEST_COUNT = 2**31 - 1
"""Tokens; what llama.cpp can count."""


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong with a call; `--help` has the rest."""

    def error(self, message: str) -> NoReturn:
        """End the process with status 2."""
        self.exit(WRONG_CALL, f"{self.prog}: {message}; see {self.prog} --help.\n")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    common = _Parser(add_help=False)
    common.add_argument(
        "--data-dir", type=_folder, metavar="D", default=argparse.SUPPRESS, help="where Ember keeps its data"
    )
    parser = _Parser(
        prog="python -m app",
        description="Ember: chat with local models. Without a command: the window.",
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"Ember {__version__}")
    parser.add_argument(
        "--open", nargs="+", type=Path, default=[], metavar="FILE", help="import these in the window; or only FILE…"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    _add_turn_commands(commands, common)
    _add_state_commands(commands, common)
    _add_memory_commands(commands, common)
    _add_reading_commands(commands, common)
    _add_transfer_commands(commands, common)
    _add_library_commands(commands, common)
    _add_models_command(commands, common)
    return parser


def _add_turn_commands(commands: "argparse._SubParsersAction[_Parser]", common: _Parser) -> None:
    send = commands.add_parser("send", parents=[common], help="send messages and print the replies")
    send.add_argument("texts", nargs="+", metavar="TEXT", help="one turn each")
    send.add_argument("--model", type=Path, metavar="FILE", help="a GGUF file; the starter model without it")
    send.add_argument("--conversation", metavar="ID", help="go on with this conversation; a new one without it")
    send.add_argument("--system", metavar="TEXT", help="the system prompt")
    send.add_argument("--after", metavar="MESSAGE", help="branch: the first TEXT follows this message")
    _add_turn_options(send)

    regenerate = commands.add_parser("regenerate", parents=[common], help="give another reply")
    regenerate.add_argument("--conversation", metavar="ID", required=True)
    regenerate.add_argument("--message", metavar="M", help="the message to answer again, or the reply to replace")
    regenerate.add_argument("--model", type=Path, metavar="FILE", help="a GGUF file; the starter model without it")
    _add_turn_options(regenerate)


def _add_state_commands(commands: "argparse._SubParsersAction[_Parser]", common: _Parser) -> None:
    cache = commands.add_parser("cache", parents=[common], help="what is saved of conversations' state")
    cache.add_argument("--json", action="store_true")
    deeds = cache.add_subparsers(dest="deed", metavar="clear|verify")
    clear = deeds.add_parser("clear", parents=[common], help="remove saved state; texts stay")
    which = clear.add_mutually_exclusive_group(required=True)
    which.add_argument("--conversation", metavar="ID")
    which.add_argument("--model", type=Path, metavar="FILE")
    which.add_argument("--all", action="store_true")
    clear.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    verify = deeds.add_parser("verify", parents=[common], help="check every file of it")
    verify.add_argument("--json", action="store_true", default=argparse.SUPPRESS)

    measure = commands.add_parser("calibrate", parents=[common], help="measure how a model runs fastest here")
    measure.add_argument("--model", type=Path, metavar="FILE", help="a GGUF file; the starter model without it")
    measure.add_argument("--json", action="store_true")


def _add_reading_commands(commands: "argparse._SubParsersAction[_Parser]", common: _Parser) -> None:
    conversations = commands.add_parser("conversations", parents=[common], help="list the conversations")
    conversations.add_argument("--json", action="store_true")

    show = commands.add_parser("show", parents=[common], help="print a conversation")
    show.add_argument("id", metavar="ID")
    show.add_argument("--json", action="store_true", help="the whole tree")


def _add_models_command(commands: "argparse._SubParsersAction[_Parser]", common: _Parser) -> None:
    models = commands.add_parser("models", parents=[common], help="the models that are known; find and download others")
    models.add_argument("--json", action="store_true", help="one line of JSON a model")
    deeds = models.add_subparsers(dest="deed", metavar="add|search|get|verify|remove")
    for deed, argument, what in (
        ("add", "FILE", "know a GGUF file where it lies, without copying it"),
        ("search", "WORDS", "look for repositories on the hub"),
        ("get", "REPO", "download a model, or go on with it"),
        ("verify", "NAME", "hold a model's files against their checksums"),
        ("remove", "NAME", "move a downloaded model to the trash, forget an added one"),
    ):
        parser = deeds.add_parser(deed, parents=[common], help=what)
        parser.add_argument("name", metavar=argument, nargs="+" if deed == "search" else None)
        if deed == "get":
            parser.add_argument("file", metavar="FILE", nargs="?", default="", help="or a quantisation: Q4_K_M")
        parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def _add_library_commands(commands: "argparse._SubParsersAction[_Parser]", common: _Parser) -> None:
    backup = commands.add_parser("backup", parents=[common], help="write the whole library to one file")
    backup.add_argument("file", type=Path, metavar="FILE")
    backup.add_argument("--with-state", action="store_true", help="with all saved state too")
    backup.add_argument("--json", action="store_true")

    restore = commands.add_parser("restore", parents=[common], help="put a backup in the place of the library")
    restore.add_argument("file", type=Path, metavar="FILE")
    restore.add_argument(
        "--trust-tokens",
        "--trust-state",
        action="store_true",
        help="take the tokens and the state it holds too; they can say other things than the text",
    )
    restore.add_argument("--json", action="store_true")


def _add_transfer_commands(commands: "argparse._SubParsersAction[_Parser]", common: _Parser) -> None:
    export = commands.add_parser("export", parents=[common], help="write conversations to files")
    export.add_argument("ids", nargs="*", metavar="ID")
    export.add_argument("--all", action="store_true", help="every conversation, into a folder")
    export.add_argument("--to", type=Path, required=True, metavar="FILE", help="a folder for several conversations")
    export.add_argument(
        "--format", choices=("ember", "markdown", "json", "text", "html"), help="by the file's name if not given"
    )
    export.add_argument(
        "--branches", choices=("one", "all"), help="the shown one, or all where the format can hold them"
    )
    export.add_argument("--with-state", action="store_true", help="with what is saved of their state")

    imported = commands.add_parser("import", parents=[common], help="take in .ember files and other programs' chats")
    imported.add_argument("files", nargs="+", type=Path, metavar="FILE", help="or a folder of them")
    imported.add_argument(
        "--trust-state", action="store_true", help="use the state in them even if another installation wrote it"
    )
    imported.add_argument(
        "--merge",
        action="store_true",
        help="add what is new of a conversation that is here already to it; without it comes a copy",
    )
    imported.add_argument("--json", action="store_true", help="one line of JSON a conversation")


def _add_memory_commands(commands: "argparse._SubParsersAction[_Parser]", common: _Parser) -> None:
    devices = commands.add_parser("devices", parents=[common], help="what llama.cpp can compute on, and its memory")
    devices.add_argument("--json", action="store_true")

    estimate = commands.add_parser("estimate", parents=[common], help="what a model would take, before it is loaded")
    estimate.add_argument("model", type=Path, metavar="MODEL", help="a GGUF file")
    estimate.add_argument("--context", type=_count, metavar="N", help="tokens of the context")
    estimate.add_argument("--kv", choices=("f16", "q8_0", "q4_0"), help="how keys and values are kept")
    estimate.add_argument("--layers", type=_whole, metavar="N", help="layers on the GPU; as many as fit without it")
    estimate.add_argument("--json", action="store_true")

    memory = commands.add_parser("memory", parents=[common], help="what the loaded model takes, by device")
    memory.add_argument("--model", type=Path, metavar="FILE", help="load this one and measure it, without the window")
    memory.add_argument("--json", action="store_true")


def _add_turn_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--max-tokens", type=_count, metavar="N", help="the longest reply")
    command.add_argument("--temperature", type=float, metavar="T")
    command.add_argument("--seed", type=int, metavar="S")
    command.add_argument("--context", type=_count, metavar="N", help="tokens of the context")
    command.add_argument("--no-kv", action="store_true", help="reuse and save nothing")
    command.add_argument("--json", action="store_true", help="one line of JSON a turn")


def _count(text: str) -> int:
    return _number(text, 1)


def _whole(text: str) -> int:
    return _number(text, 0)


def _number(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:  # also for more digits than Python reads
        number = least - 1
    if not least <= number <= LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {LARGEST_COUNT}")
    return number


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # ~nobody-of-this-name
        raise argparse.ArgumentTypeError(f"there is no such home folder: {text}") from error


def with_open(arguments: Sequence[str]) -> list[str]:
    """The arguments, with --open before files that stand in the place of a command, as on a double click.

    What looks like no file stays a command's name that was mistyped.
    """
    at = 0
    while at < len(arguments) and arguments[at].startswith("--data-dir"):
        at += 1 if "=" in arguments[at] else 2
    first = arguments[at] if at < len(arguments) else ""
    is_file = first[:1] not in ("", "-") and (bool(Path(first).suffix) or Path(first).name != first)
    return [*arguments[:at], *(["--open"] if is_file else []), *arguments[at:]]
