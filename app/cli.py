"""The command line: the window without a command, and headless commands on the window's own services."""

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path

from app.cli_parser import make_parser, with_open
from app.core.errors import EmberError
from app.services.output import ReaderGoneError, prepare, tell, write_json, write_line

FAILURE = 1


def run(arguments: Sequence[str]) -> int:
    """Carry out a command; the exit status: 0, 1 for a failure, 2 for a wrong call."""
    parser = make_parser()
    options = parser.parse_args(with_open(arguments))
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
            return 0
        left_out = export_all(store, found, options.to, form, options.branches)
    finally:
        reading.close()
    for error in left_out:
        tell(error.sentence)
    return 1 if left_out else 0


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
