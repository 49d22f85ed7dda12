"""The command line: the window without a command, and headless commands on the window's own services."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from app import __version__
from app.core.errors import EmberError

WRONG_CALL = 2
FAILURE = 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--data-dir", type=Path, metavar="D", default=argparse.SUPPRESS, help="where Ember keeps its data"
    )
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="Ember: chat with local models. Without a command: the window.",
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"Ember {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    send = commands.add_parser("send", parents=[common], help="send messages and print the replies")
    send.add_argument("texts", nargs="+", metavar="TEXT", help="one turn each")
    send.add_argument("--model", type=Path, metavar="FILE", help="a GGUF file; the starter model without it")
    send.add_argument("--conversation", metavar="ID", help="go on with this conversation; a new one without it")
    send.add_argument("--system", metavar="TEXT", help="the system prompt")
    send.add_argument("--max-tokens", type=_positive, metavar="N", help="the longest reply")
    send.add_argument("--temperature", type=float, metavar="T")
    send.add_argument("--seed", type=int, metavar="S")
    send.add_argument("--context", type=_positive, metavar="N", help="tokens of the context")
    send.add_argument("--no-kv", action="store_true", help="reuse and save nothing")
    send.add_argument("--json", action="store_true", help="one line of JSON a turn")

    conversations = commands.add_parser("conversations", parents=[common], help="list the conversations")
    conversations.add_argument("--json", action="store_true")

    show = commands.add_parser("show", parents=[common], help="print a conversation")
    show.add_argument("id", metavar="ID")
    show.add_argument("--json", action="store_true", help="the whole tree")

    export = commands.add_parser("export", parents=[common], help="write a conversation to a file")
    export.add_argument("id", metavar="ID")
    export.add_argument("--to", type=Path, required=True, metavar="FILE")
    export.add_argument("--format", choices=("ember", "markdown"), help="by the file's name if not given")

    imported = commands.add_parser("import", parents=[common], help="reload an .ember file")
    imported.add_argument("file", type=Path, metavar="FILE")
    imported.add_argument("--json", action="store_true")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def run(arguments: Sequence[str]) -> int:
    """Carry out a command; the exit status: 0, 1 for a failure, 2 for a wrong call."""
    parser = _parser()
    options = parser.parse_args(arguments)
    root: Path | None = getattr(options, "data_dir", None)
    try:
        match options.command:
            case None:
                from app.gui.application import run_window

                return run_window(root)
            case "send":
                return _send(parser, options, root)
            case "conversations":
                return _conversations(options, root)
            case "show":
                return _show(options, root)
            case "export":
                return _export(options, root)
            case _:
                return _import(options, root)
    except EmberError as error:
        print(error.sentence, file=sys.stderr)
        return FAILURE
    except BrokenPipeError:
        sys.stderr.close()
        return FAILURE


def _send(parser: argparse.ArgumentParser, options: argparse.Namespace, root: Path | None) -> int:
    from app.core.sampling import SamplerSettings
    from app.services.headless import SendOptions, send

    if not all(text.strip() for text in options.texts):
        parser.error("an empty TEXT cannot be sent")
    sampler = SamplerSettings()
    try:
        if options.temperature is not None:
            sampler = replace(sampler, temperature=options.temperature)
        if options.seed is not None:
            sampler = replace(sampler, seed=options.seed)
    except ValueError as error:
        parser.error(str(error))
    return send(
        SendOptions(
            texts=tuple(options.texts),
            model=options.model,
            conversation=options.conversation,
            system=options.system,
            max_tokens=options.max_tokens,
            sampler=sampler,
            sampler_given=options.temperature is not None or options.seed is not None,
            context=options.context,
            use_kv=not options.no_kv,
            as_json=options.json,
        ),
        root,
    )


def _conversations(options: argparse.Namespace, root: Path | None) -> int:
    from app.services.workspace import Reading

    reading = Reading(root)
    try:
        for summary in reading.store.summaries():
            if options.json:
                _print_json(
                    {
                        "id": summary.id,
                        "title": summary.title,
                        "created": summary.created,
                        "updated": summary.updated,
                        "messages": summary.messages,
                    }
                )
            else:
                print(f"{summary.id}  {summary.messages:>5}  {summary.title}")
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
        _print_json(
            {
                "conversation": msgspec.to_builtins(tree.conversation),
                "path": [message.id for message in tree.path()],
                "messages": [msgspec.to_builtins(message) for message in tree.messages.values()],
            }
        )
        return 0
    print(f"# {tree.conversation.title}")
    if tree.conversation.system_prompt:
        print(f"\n[system]\n{tree.conversation.system_prompt}")
    for message in tree.path():
        print(f"\n[{message.role}]\n{message.text}")
        if message.error:
            print(f"({message.error})")
    return 0


def _export(options: argparse.Namespace, root: Path | None) -> int:
    from app.services.transfer import ExportFormat, export_conversation
    from app.services.workspace import Reading

    chosen: ExportFormat = options.format or (
        "markdown" if options.to.suffix.lower() in (".md", ".markdown") else "ember"
    )
    reading = Reading(root)
    try:
        export_conversation(reading.store, reading.store.resolve(options.id), options.to, chosen)
    finally:
        reading.close()
    return 0


def _import(options: argparse.Namespace, root: Path | None) -> int:
    from app.services.transfer import import_conversation
    from app.services.workspace import Workspace

    workspace = Workspace(root)
    try:
        conversation = import_conversation(workspace.store, options.file)
        tree = workspace.store.tree(conversation)
    finally:
        workspace.close()
    if options.json:
        _print_json({"id": conversation, "title": tree.conversation.title, "messages": len(tree.messages)})
    else:
        print(conversation)
    return 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))
