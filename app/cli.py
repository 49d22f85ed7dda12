"""The command line: the window without a command, and headless commands on the window's own services."""

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from app import __version__
from app.core.errors import EmberError
from app.services.output import ReaderGoneError, prepare, tell, write_json, write_line

WRONG_CALL = 2
FAILURE = 1
LARGEST_COUNT = 2**31 - 1
"""Tokens; what llama.cpp can count."""


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong with a call; `--help` has the rest."""

    def error(self, message: str) -> NoReturn:
        """End the process with status 2."""
        self.exit(WRONG_CALL, f"{self.prog}: {message}; see {self.prog} --help.\n")


def _parser() -> argparse.ArgumentParser:
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

    _add_memory_commands(commands, common)

    conversations = commands.add_parser("conversations", parents=[common], help="list the conversations")
    conversations.add_argument("--json", action="store_true")

    show = commands.add_parser("show", parents=[common], help="print a conversation")
    show.add_argument("id", metavar="ID")
    show.add_argument("--json", action="store_true", help="the whole tree")

    _add_transfer_commands(commands, common)
    _add_library_commands(commands, common)
    _add_models_command(commands, common)
    return parser


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


def _with_open(arguments: Sequence[str]) -> list[str]:
    """The arguments, with --open before files that stand in the place of a command, as on a double click.

    What looks like no file stays a command's name that was mistyped.
    """
    at = 0
    while at < len(arguments) and arguments[at].startswith("--data-dir"):
        at += 1 if "=" in arguments[at] else 2
    first = arguments[at] if at < len(arguments) else ""
    is_file = first[:1] not in ("", "-") and (bool(Path(first).suffix) or Path(first).name != first)
    return [*arguments[:at], *(["--open"] if is_file else []), *arguments[at:]]


def run(arguments: Sequence[str]) -> int:
    """Carry out a command; the exit status: 0, 1 for a failure, 2 for a wrong call."""
    parser = _parser()
    options = parser.parse_args(_with_open(arguments))
    root: Path | None = getattr(options, "data_dir", None)
    prepare(as_json=getattr(options, "json", False))
    try:
        match options.command:
            case None:
                from app.gui.application import run_window

                return run_window(root, options.open)
            case "send" | "regenerate":
                return _send(parser, options, root)
            case "cache":
                return _cache(options, root)
            case "calibrate":
                return _calibrate(options, root)
            case "devices" | "estimate" | "memory":
                return _memory(options, root)
            case "conversations":
                return _conversations(options, root)
            case "show":
                return _show(options, root)
            case "export":
                return _export(parser, options, root)
            case "backup" | "restore":
                return _library(options, root)
            case "models":
                return _models(options, root)
            case _:
                return _import(options, root)
    except EmberError as error:
        tell(error.sentence)
        return FAILURE
    except (ReaderGoneError, KeyboardInterrupt):
        return FAILURE


def _answer_interrupts() -> None:
    """Let Ctrl+C end the command tidily; not before its imports, of which Qt's abort when they are interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _send(parser: argparse.ArgumentParser, options: argparse.Namespace, root: Path | None) -> int:
    from app.core.sampling import SamplerSettings
    from app.services.headless import SendOptions, send

    texts: list[str] = getattr(options, "texts", [])
    if not all(text.strip() for text in texts):
        parser.error("an empty TEXT cannot be sent")
    try:
        SamplerSettings(temperature=options.temperature or 0.0, seed=options.seed)
    except ValueError as error:
        parser.error(str(error))
    return send(
        SendOptions(
            texts=tuple(texts),
            model=options.model,
            conversation=options.conversation,
            system=getattr(options, "system", None),
            after=getattr(options, "after", None),
            regenerate=options.command == "regenerate",
            message=getattr(options, "message", None),
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            seed=options.seed,
            context=options.context,
            use_kv=not options.no_kv,
            as_json=options.json,
        ),
        root,
    )


def _cache(options: argparse.Namespace, root: Path | None) -> int:
    from app.services.cache_command import CacheOptions, cache

    return cache(
        CacheOptions(
            deed=options.deed or "report",
            conversation=getattr(options, "conversation", None),
            model=getattr(options, "model", None),
            as_json=options.json,
        ),
        root,
    )


def _calibrate(options: argparse.Namespace, root: Path | None) -> int:
    from app.services.calibrate_command import CalibrateOptions, calibrate

    return calibrate(CalibrateOptions(model=options.model, as_json=options.json), root)


def _memory(options: argparse.Namespace, root: Path | None) -> int:
    from app.services.memory_commands import EstimateOptions, devices, estimate, memory

    if options.command == "devices":
        return devices(root, as_json=options.json)
    if options.command == "memory":
        return memory(options.model, root, as_json=options.json)
    return estimate(
        EstimateOptions(options.model, options.context, options.kv, options.layers, as_json=options.json), root
    )


def _conversations(options: argparse.Namespace, root: Path | None) -> int:
    from app.services.workspace import Reading

    reading = Reading(root)
    try:
        for summary in reading.store.summaries():
            if options.json:
                write_json(
                    {
                        "id": summary.id,
                        "title": summary.title,
                        "created": summary.created,
                        "updated": summary.updated,
                        "messages": summary.messages,
                    }
                )
            else:
                write_line(f"{summary.id}  {summary.messages:>5}  {' '.join(summary.title.split())}")
    finally:
        reading.close()
    return 0


def _show(options: argparse.Namespace, root: Path | None) -> int:
    import msgspec

    from app.services.workspace import Reading

    reading = Reading(root)
    try:
        tree = reading.store.tree(reading.store.resolve(options.id))
    finally:
        reading.close()
    if options.json:
        write_json(
            {
                "conversation": msgspec.to_builtins(tree.conversation),
                "path": [message.id for message in tree.path()],
                "messages": [msgspec.to_builtins(message) for message in tree.messages.values()],
            }
        )
        return 0
    write_line(f"# {tree.conversation.title}")
    if tree.conversation.system_prompt:
        write_line(f"\n[system]\n{tree.conversation.system_prompt}")
    for message in tree.path():
        write_line(f"\n[{message.role}]\n{message.text}")
        if message.error:
            write_line(f"({message.error})")
    return 0


def _export(parser: argparse.ArgumentParser, options: argparse.Namespace, root: Path | None) -> int:
    from app.services.transfer import export_all, export_conversation, format_of
    from app.services.workspace import Reading

    if bool(options.ids) == options.all:
        parser.error("give either the ID of a conversation, or several, or --all")
    form = options.format or format_of(options.to)
    if options.branches == "one" and form == "ember":
        parser.error("an .ember file always holds all branches")
    if options.branches == "all" and form == "html":
        parser.error("an HTML page holds the shown branch only")
    if options.with_state:
        if form != "ember":
            raise EmberError("Only an .ember file can carry state. Nothing was written.", "wrong_format")
        return _export_with_state(options, root)
    _answer_interrupts()
    reading = Reading(root)
    try:
        store = reading.store
        every = [summary.id for summary in store.summaries(counted=False)] if options.all else []
        found = every or [store.resolve(each) for each in options.ids]
        if len(found) == 1 and not options.all and not options.to.is_dir():
            export_conversation(store, found[0], options.to, form, options.branches)
        else:
            export_all(store, found, options.to, form, options.branches)
    finally:
        reading.close()
    return 0


def _export_with_state(options: argparse.Namespace, root: Path | None) -> int:
    from app.services.export_command import export_with_state

    _answer_interrupts()
    return export_with_state(options.ids, options.to, root)


def _import(options: argparse.Namespace, root: Path | None) -> int:
    from app.services.import_command import ImportOptions, import_conversations

    return import_conversations(
        ImportOptions(tuple(options.files), options.trust_state, options.merge, options.json), root
    )


def _library(options: argparse.Namespace, root: Path | None) -> int:
    from app.services.library_commands import backup, restore

    _answer_interrupts()
    if options.command == "backup":
        return backup(options.file, root, as_json=options.json, with_state=options.with_state)
    return restore(options.file, root, as_json=options.json, trust_token_ids=options.trust_tokens)


def _models(options: argparse.Namespace, root: Path | None) -> int:
    from app.services.models_command import ModelsOptions, models

    _answer_interrupts()
    name = getattr(options, "name", "")
    return models(
        ModelsOptions(
            deed=options.deed or "list",
            name=name if isinstance(name, str) else " ".join(name),
            file=getattr(options, "file", ""),
            as_json=options.json,
        ),
        root,
    )
