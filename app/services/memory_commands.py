"""The commands `devices`, `estimate` and `memory`: what there is, what a model would take, and what one takes.

A model is estimated and loaded as the window would, with what is kept of it in the settings, where no flag says
otherwise.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QCoreApplication, QEventLoop

from app.core.errors import EmberError
from app.core.load_options import KvType, LoadOptions
from app.core.units import format_bytes, format_count
from app.paths import open_data_dir
from app.protocol.answers import Failed, Hello, Loaded, MemoryEstimated, Statistics
from app.protocol.messages import Request, Response
from app.protocol.parts import MemoryPlan
from app.protocol.requests import EstimateMemory, GetStatistics, LoadModel
from app.services.engine_client import EngineClient
from app.services.memory_report import Report, describe_device, describe_plan, memory_of
from app.services.output import tell, write_json, write_line
from app.services.stored_models import OwnSettings, StoredModel, own_report, own_settings, own_words, stored_model
from app.services.window_socket import MemoryRequest, ask_window
from app.services.workspace import Reading

LOG_FOLDER = "commands"
"""Beside the log of the window's engine, which may be running."""
Wanted = TypeVar("Wanted")


@dataclass(frozen=True, slots=True)
class EstimateOptions:
    """What `estimate` was asked for."""

    model: Path
    context: int | None = None
    """In tokens; this and the next two are the model's own where they are None."""
    kv_type: KvType | None = None
    gpu_layers: int | None = None
    as_json: bool = False

    @property
    def given(self) -> frozenset[str]:
        """The names of the options that were asked for."""
        asked = {"context": self.context, "kv_type": self.kv_type, "gpu_layers": self.gpu_layers}
        return frozenset(name for name, value in asked.items() if value is not None)

    def over(self, own: LoadOptions) -> LoadOptions:
        """The model's own options with those that were asked for in their place."""
        # Smaller keys and values need flash attention, so asking for them leaves it open again.
        needs_flash = self.kv_type not in (None, "f16") and own.flash_attention == "off"
        return replace(
            own,
            context=own.context if self.context is None else self.context,
            kv_type=self.kv_type or own.kv_type,
            gpu_layers=own.gpu_layers if self.gpu_layers is None else self.gpu_layers,
            flash_attention="auto" if needs_flash else own.flash_attention,
        )


class _Engine:
    """An engine for one command, beside whatever else runs; a context manager that ends it."""

    def __init__(self, root: Path | None) -> None:
        """Start it; raises EmberError where its log cannot be kept."""
        self._application = QCoreApplication.instance() or QCoreApplication(sys.argv[:1])
        self._client = EngineClient(open_data_dir(root).logs / LOG_FOLDER)

    def __enter__(self) -> "_Engine":
        self._client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop()

    def statistics(self) -> Statistics:
        """What is free and taken now. Raises EmberError."""
        return self.ask(GetStatistics(id=self.new_id()), Statistics)

    @property
    def hello(self) -> Hello:
        """Its greeting, once it has answered anything."""
        assert self._client.hello is not None
        return self._client.hello

    def new_id(self) -> int:
        """An id for a request."""
        return self._client.new_id()

    def ask(self, request: Request, wanted: type[Wanted]) -> Wanted:
        """Send a request and wait for the answer of this type; raises EmberError for a failure, or a death."""
        loop, answers = QEventLoop(), list[Response]()

        def take(answer: Response) -> None:
            if isinstance(answer, (wanted, Failed)):
                answers.append(answer)
                loop.quit()

        self._client.send(request, take)
        if not answers:
            loop.exec()
        (answer,) = answers
        if isinstance(answer, Failed):
            raise EmberError(answer.sentence, answer.kind)
        assert isinstance(answer, wanted)
        return answer


# --- devices ----------------------------------------------------------------------------------------------------------


def devices(root: Path | None, *, as_json: bool) -> int:
    """Print the devices that llama.cpp can use; the exit status. Raises EmberError."""
    with _Engine(root) as engine:
        statistics, hello = engine.statistics(), engine.hello
    ram = {"free_bytes": statistics.ram_available, "total_bytes": statistics.ram_total}
    found = [describe_device(device, ram) for device in statistics.devices]
    if as_json:
        write_json({"backends": list(hello.backends), "devices": found, "notices": list(hello.notices)})
        return 0
    for device in found:
        unified = ", the computer's own memory" if device["unified"] else ""
        write_line(
            f"{device['name']:<10} {format_bytes(device['free_bytes']):>8} of {format_bytes(device['total_bytes'])} "
            f"free{unified}  {device['description']} ({device['backend']})"
        )
    write_line(f"This build computes with {', '.join(hello.backends)}.")
    for notice in hello.notices:
        tell(notice)
    return 0


# --- estimate ---------------------------------------------------------------------------------------------------------


def estimate(wanted: EstimateOptions, root: Path | None) -> int:
    """Print what a model would take; the exit status, 1 where it does not fit as asked. Raises EmberError."""
    file, given = wanted.model.absolute(), wanted.given
    with _Engine(root) as engine:
        engine.statistics()
        stored = _stored(file, root)
        own = own_settings(stored, engine.hello, file, wanted.over(stored.options))
        request = EstimateMemory(
            id=engine.new_id(), path=str(file), options=own.options, calibration=own.calibration, learnt=own.learnt
        )
        plan = engine.ask(request, MemoryEstimated).plan
    report = describe_plan(file, plan)
    if wanted.as_json:
        write_json({**report, "own_settings": own_report(own, given)})
    else:
        write_line(plan.sentence)
        for line in filter(None, (*_as_made(plan, own.options), own_words(own, given))):
            write_line(f"  {line}")
        for part in report["devices"]:
            other = part["other_bytes"]
            _print_part(part, [f"{format_bytes(other)} the program itself"] if other > 0 else [], "")
        for offer in report["offers"]:
            write_line(f"This would fit: {offer['label']}.")
    is_less = plan.verdict == "fewer_layers" and own.options.gpu_layers is not None
    return 1 if plan.verdict == "does_not_fit" or is_less else 0


def _stored(file: Path, root: Path | None) -> StoredModel:
    """What the settings keep of a model's file, read beside a window too; said, where they cannot be read."""
    try:
        reading = Reading(root)
    except EmberError as error:
        tell(f"What is kept of this model could not be read, so general settings are used. {error.sentence}")
        return StoredModel()
    try:
        return stored_model(reading.settings, file)
    finally:
        reading.close()


def _as_made(plan: MemoryPlan, asked: LoadOptions) -> Iterator[str]:
    """The context and layers that the figures are of, and why they are not those that were asked for."""
    why = ""
    if asked.context is not None and plan.context < asked.context:
        why = f" instead of {format_count(asked.context)}: the model was trained for no more"
    yield f"With a context of {format_count(plan.context)} tokens{why}"
    if plan.verdict != "does_not_fit" and not plan.is_dry_run:
        yield "Worked out from the file's header; llama.cpp's own figures could not be had, so it may not load"
    if asked.gpu_layers and not plan.gpu_layers:
        yield f"With no layer on a GPU instead of {format_count(asked.gpu_layers)}: there is none that could be used"


# --- memory -----------------------------------------------------------------------------------------------------------


def memory(model: Path | None, root: Path | None, *, as_json: bool) -> int:
    """Print what a model takes: the window's, or `model`, which is loaded for that; the exit status.

    Raises EmberError.
    """
    own = OwnSettings(LoadOptions())
    if model is not None:
        report, own = _load_and_measure(model.absolute(), root)
    else:
        found = ask_window(MemoryRequest(), root)
        if found is None:
            raise EmberError("Ember's window is not open. Open it, or name a model with --model FILE.", "no_window")
        report = found
    if as_json:
        write_json(report)
        return 0
    tokens = f"{format_count(report['context_used'])} of {format_count(report['context'])} tokens"
    layers = f", {report['gpu_layers']} of {report['layers'] + 1} layers on a GPU" if report["gpu_layers"] else ""
    write_line(f"{report['model']}: {tokens}{layers}; the engine takes {format_bytes(report['process_bytes'])}")
    if words := own_words(own):
        write_line(f"  {words}")
    for part in report["devices"]:
        guess, said = part["estimated_bytes"], part["process_bytes"]
        estimated = "" if guess is None else f", {format_bytes(guess)} were estimated"
        _print_part(part, [], estimated + ("" if said is None else f", the driver counts {format_bytes(said)}"))
    return 0


def _load_and_measure(file: Path, root: Path | None) -> tuple[Report, OwnSettings]:
    """What a model takes once it is loaded as the window would, and what it was loaded with."""
    with _Engine(root) as engine:
        engine.statistics()
        stored = _stored(file, root)
        own = own_settings(stored, engine.hello, file, stored.options)
        request = LoadModel(
            id=engine.new_id(), path=str(file), options=own.options, calibration=own.calibration, learnt=own.learnt
        )
        loaded = engine.ask(request, Loaded)
        report = memory_of(loaded.model, engine.statistics(), loaded.plan)
    return {**report, "own_settings": own_report(own)}, own


def _print_part(part: Report, more: list[str], end: str) -> None:
    """One line for a device."""
    names = (("weights_bytes", "weights"), ("kv_bytes", "keys and values"), ("compute_bytes", "for computing"))
    sizes = ", ".join([*(f"{format_bytes(part[key])} {name}" for key, name in names), *more])
    free = format_bytes(part["free_bytes"])
    write_line(f"  {part['device']}: {format_bytes(max(0, part['bytes']))} ({sizes}){end}; {free} free")
