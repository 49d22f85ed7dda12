"""The command `models`: those that are known, looking for others, downloading, verifying and removing them.

It needs no engine, and works beside an open window: nothing of a window's is written but what both read anew each time.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.core.errors import EmberError
from app.core.fit import Fit, is_hopeless
from app.core.hub_files import Variant, choose, preferred
from app.core.offload import Machine
from app.core.units import format_bytes, format_count, format_seconds, parameters_label
from app.paths import open_data_dir
from app.services.download_progress import Progress, wait_words
from app.services.download_record import DownloadRecord, begin, plan
from app.services.download_work import DownloadWork
from app.services.model_catalogue import ModelFile, add_model, find, model_sources, remove_model, scan
from app.services.model_places import ORIGIN_NAMES
from app.services.model_search import OFFLINE_KEY, Offer, offer_of
from app.services.model_verification import verify
from app.services.output import tell, write_json, write_line
from app.services.this_machine import this_machine
from app.services.workspace import Reading

if TYPE_CHECKING:
    from app.services.hub import Hub

Deed = Literal["list", "add", "search", "get", "verify", "remove"]


@dataclass(frozen=True, slots=True)
class ModelsOptions:
    """What `models` was asked for."""

    deed: Deed
    name: str = ""
    """The file, the words, the repository or the model."""
    file: str = ""
    """Of `get`: a file or a quantisation."""
    as_json: bool = False


def models(options: ModelsOptions, root: Path | None) -> int:
    """Carry it out; the exit status. Raises EmberError."""
    deeds: dict[Deed, Callable[[ModelsOptions, Path | None], int]] = {
        "list": _list,
        "add": _add,
        "search": _search,
        "get": _get,
        "verify": _verify,
        "remove": _remove,
    }
    return deeds[options.deed](options, root)


@contextmanager
def _reading(root: Path | None) -> Iterator[Reading]:
    reading = Reading(root)
    try:
        yield reading
    finally:
        reading.close()


def _known(root: Path | None) -> tuple[ModelFile, ...]:
    with _reading(root) as reading:
        return scan(model_sources(reading.data_dir, reading.settings))


def _saved(root: Path | None) -> Callable[[ModelFile], int | None]:
    """What tells the bytes that are saved of a model's chats; None where that is not known."""
    with _reading(root) as reading:
        saved = reading.saved_bytes()
    return lambda model: None if saved is None else saved.get(str(model.path), 0)


# --- what is known ---------------------------------------------------------------------------------------------------


def _list(options: ModelsOptions, root: Path | None) -> int:
    _tell_models(_known(root), options, root)
    return 0


def _tell_models(models: tuple[ModelFile, ...], options: ModelsOptions, root: Path | None) -> None:
    machine, saved = this_machine(), _saved(root)
    for model in models:
        if options.as_json:
            write_json(describe(model, machine, saved(model)))
        else:
            for line in _lines(model, machine, saved(model)):
                write_line(line)


def describe(model: ModelFile, machine: Machine, saved: int | None) -> dict[str, Any]:
    """A model with stable names; bytes, seconds since 1970."""
    facts, fit = model.facts, model.fit(machine)
    return {
        "name": model.name,
        "file": str(model.path),
        "files": len(model.files),
        "origin": model.origin,
        "bytes": model.size,
        "title": facts.name if facts else None,
        "architecture": facts.architecture if facts else None,
        "parameters": facts.parameters if facts else None,
        "quantisation": facts.quantisation if facts else None,
        "context": facts.context if facts else None,
        "template": facts.has_template if facts else None,
        "reasoning": facts.can_reason if facts else None,
        "tools": facts.can_use_tools if facts else None,
        "fit": fit.verdict if fit else None,
        "problem": model.problem,
        "notice": model.notice,
        "saved_bytes": saved,
        "last_used": model.last_used,
        "repository": model.repository,
        "licence": model.licence,
        "sha256": list(model.checksums),
    }


def _lines(model: ModelFile, machine: Machine, saved: int | None) -> Iterator[str]:
    facts = model.facts
    parts = [format_bytes(model.size), ORIGIN_NAMES[model.origin]]
    if facts is not None:
        abilities = [name for name, can in (("thinks", facts.can_reason), ("tools", facts.can_use_tools)) if can]
        parts[1:1] = [
            *filter(None, (facts.architecture, parameters_label(facts.parameters), facts.quantisation)),
            *([f"{format_count(facts.context)} tokens"] if facts.context else []),
            *abilities,
        ]
    if len(model.files) > 1:
        parts.append(f"{len(model.files)} files")
    if saved:
        parts.append(f"{format_bytes(saved)} of saved state")
    yield f"{model.name}: {', '.join(parts)}"
    yield f"  {model.path}"
    fit = model.fit(machine)
    for sentence in filter(None, (model.problem, model.notice, fit.sentence if fit else "")):
        yield f"  {sentence}"


def _add(options: ModelsOptions, root: Path | None) -> int:
    add_model(open_data_dir(root), Path(options.name))
    _tell_models((find(_known(root), options.name),), options, root)
    return 0


def _verify(options: ModelsOptions, root: Path | None) -> int:
    model = find(_known(root), options.name)
    check = verify(model.files, model.checksums, lambda _done, _total: None, threading.Event())
    assert check is not None  # nobody stops it
    damage = model.problem if model.facts is None else ""
    if options.as_json:
        told = {"file": str(model.path), "verdict": check.verdict, "sha256": list(check.digests), "problem": damage}
        write_json(told)
    else:
        write_line(f"{damage} {check.sentence}".strip())
        for path, digest in zip(model.files, check.digests, strict=True):
            write_line(f"  {digest}  {path}")
    return 1 if damage or check.verdict == "wrong" else 0


def _remove(options: ModelsOptions, root: Path | None) -> int:
    model = find(_known(root), options.name)
    sentence = remove_model(open_data_dir(root), model)
    if options.as_json:
        write_json({"file": str(model.path), "removed": model.is_own})
    else:
        write_line(sentence)
    return 0


# --- the hub ---------------------------------------------------------------------------------------------------------


def _hub(root: Path | None) -> "Hub":
    from app.services.hub import Hub

    with _reading(root) as reading:
        return Hub(is_offline=reading.settings.get(OFFLINE_KEY, bool, False))


def _search(options: ModelsOptions, root: Path | None) -> int:
    found, machine = _hub(root).search(options.name), this_machine()
    for repository in found:
        if options.as_json:
            write_json(
                {
                    "repository": repository.id,
                    "downloads": repository.downloads,
                    "likes": repository.likes,
                    "updated": repository.updated,
                    "gated": repository.is_gated,
                    "licence": repository.licence,
                    "architecture": repository.architecture,
                    "parameters": repository.parameters,
                    "context": repository.context,
                }
            )
        else:
            parts = filter(None, (parameters_label(repository.parameters), repository.licence))
            remarks = ["asks for conditions"] if repository.is_gated else []
            remarks += ["probably too large"] if is_hopeless(repository.parameters, machine) else []
            details = ", ".join([*parts, f"{format_count(repository.downloads)} downloads a month", *remarks])
            write_line(f"{repository.id}: {details}")
    if not found:
        tell("Nothing was found. Try fewer or other words.")
    return 0


def _get(options: ModelsOptions, root: Path | None) -> int:
    data_dir = open_data_dir(root)
    hub = _hub(root)
    offer = offer_of(hub, options.name)
    if offer.refusal is not None:
        if offer.repository.licence:
            tell(f"The licence of this model is {offer.repository.licence}.")
        raise offer.refusal
    variant = _chosen(offer, options.file)
    if offer.problem:
        raise EmberError(f"{offer.problem} Nothing was downloaded.", "unusable")
    try:
        path, record = begin(data_dir.models, offer.repository, variant)
    except EmberError as error:
        if error.kind != "is_there":
            raise
        tell(error.sentence)
        path, done = plan(data_dir.models, offer.repository, variant)
        return _told(path, done, as_json=options.as_json)
    if record.licence:
        tell(f"The licence of this model is {record.licence}.")
    fit = offer.fit(variant, this_machine())
    if fit is not None and fit.verdict == "too_large":
        tell(fit.sentence)
    report = _Reporter()
    try:
        done = DownloadWork(data_dir.models, path, record, lambda: hub, report.take).run()
    except KeyboardInterrupt:
        report.end()
        tell("Stopped. What has come is kept, and the same command goes on with it.")
        raise
    report.end()
    return _told(path, done, as_json=options.as_json)


def _told(path: Path, done: DownloadRecord, *, as_json: bool) -> int:
    """Print where a model lies; the exit status."""
    file = path.parent / done.files[0].name
    if as_json:
        write_json({"file": str(file), "bytes": done.size, "repository": done.repository, "licence": done.licence})
    else:
        write_line(str(file))
    return 0


def _chosen(offer: Offer, wanted: str) -> Variant:
    """The variant to download; raises EmberError with those there are where none is meant."""
    offered, machine = offer.repository.variants, this_machine()
    variant = choose(offered, wanted) if wanted else preferred(offered)
    if variant is not None:
        return variant
    lines = []
    for each in offered:
        fit = offer.fit(each, machine)
        lines.append(f"{each.label} ({format_bytes(each.size)}{', too large' if _is_too_large(fit) else ''})")
    if not lines:
        raise EmberError(offer.problem or "This repository has no GGUF file of a whole model.", "nothing_there")
    what = f"There is no “{wanted}” in {offer.repository.id}" if wanted else "Several can be had"
    raise EmberError(f"{what}; name one of: {', '.join(lines)}.", "no_such_file")


def _is_too_large(fit: Fit | None) -> bool:
    return fit is not None and fit.verdict == "too_large"


class _Reporter:
    """Says how far a download is: on a terminal in one line that is written over, else nothing."""

    def __init__(self) -> None:
        self._is_shown = False

    def take(self, progress: Progress) -> None:
        """Show it."""
        if sys.stderr is None or not sys.stderr.isatty():
            return
        left = progress.seconds_left
        wait = wait_words(progress)
        speed = f", {format_bytes(round(progress.speed))} a second" if progress.speed else ""
        rest = f", {format_seconds(left)} left" if left is not None else ""
        text = f"{format_bytes(progress.done)} of {format_bytes(progress.total)}{speed}{rest}"
        text = f"{wait}, {text}" if wait else text
        sys.stderr.write(f"\r{text:<78}")
        sys.stderr.flush()
        self._is_shown = True

    def end(self) -> None:
        """Leave the line."""
        if self._is_shown:
            sys.stderr.write("\n")
