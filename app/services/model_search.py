"""Looking for models on a hub, for a window: nothing is asked until somebody asks, and nothing at all while offline."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from PySide6.QtCore import QObject, Signal

from app.core.errors import EmberError
from app.core.fit import Fit, Need, fit
from app.core.gguf_cursor import GgufError
from app.core.hub_files import Repository, Variant
from app.core.model_facts import ModelFacts, facts_of, unusable_because
from app.core.offload import Machine
from app.services.background import run_detached
from app.services.hub_errors import HubError
from app.storage.settings import SettingsStore

if TYPE_CHECKING:
    from app.services.hub import Hub

_T = TypeVar("_T")

OFFLINE_KEY = "models.offline"
HUB = "https://huggingface.co"


def hub_address() -> str:
    """Where models are looked for, told without importing or asking anything: HF_ENDPOINT, else Hugging Face's hub."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def hub_name() -> str:
    """What a person calls it: its host."""
    return urlsplit(hub_address()).hostname or hub_address()


@dataclass(frozen=True, slots=True)
class Offer:
    """A repository with what the header of one of its files says of all of them."""

    repository: Repository
    facts: ModelFacts | None
    problem: str = ""
    """Why nothing here can be used, or why the header could not be read; a sentence."""
    refusal: HubError | None = None
    """Why the hub gives the files to nobody as yet, as before the conditions of a gated model are accepted."""

    def fit(self, variant: Variant, machine: Machine) -> Fit | None:
        """Whether a variant fits, estimated: its own size, and the context by the header; None without a header."""
        if self.facts is None or self.facts.kind != "model":
            return None
        return fit(Need(variant.size, self.facts.beside_weights, self.facts.beside_weights_least), machine)


def offer_of(hub: "Hub", name: str) -> Offer:
    """What a repository offers, with the header of its smallest file where the hub gives it; raises HubError."""
    repository = hub.repository(name)
    if not repository.variants:
        return Offer(repository, None, "This repository has no GGUF file of a whole model.")
    try:
        facts = facts_of(hub.header(repository, repository.variants[0]))
    except GgufError as error:
        return Offer(repository, None, error.sentence)
    except HubError as error:
        if error.status not in (401, 403):
            raise
        return Offer(repository, None, refusal=error)
    return Offer(repository, facts, unusable_because(facts))


class ModelSearch(QObject):
    """Searches and looks into repositories in the background; only the newest question of each kind is answered."""

    found = Signal(object)
    """A tuple of FoundRepository."""
    offered = Signal(object)
    """An Offer."""
    failed = Signal(str, str)
    """(kind, sentence) of a question that could not be answered."""
    offline_changed = Signal(bool)

    def __init__(self, settings: SettingsStore, parent: QObject | None = None) -> None:
        """Whether Ember stays offline is kept in `settings`."""
        super().__init__(parent)
        self._settings = settings
        self._is_offline = settings.get(OFFLINE_KEY, bool, False)
        self._questions = {"search": 0, "look": 0}

    @property
    def is_offline(self) -> bool:
        """Whether nothing is asked of a hub, downloads included."""
        return self._is_offline

    def set_offline(self, is_offline: bool) -> None:
        """Stay offline from now on, or no more."""
        self._is_offline = is_offline
        self.offline_changed.emit(is_offline)
        self._settings.set(OFFLINE_KEY, is_offline)

    def hub(self) -> "Hub":
        """The hub to ask; for threads in the background, as the first use imports huggingface_hub."""
        from app.services.hub import Hub

        return Hub(is_offline=self._is_offline)

    def search(self, words: str, sort: str = "downloads") -> None:
        """Look for repositories; `found` or `failed` follows."""
        self._ask("search", lambda: self.hub().search(words, sort), self.found.emit)

    def look(self, name: str) -> None:
        """Look into a repository; `offered` or `failed` follows."""
        self._ask("look", lambda: offer_of(self.hub(), name), self.offered.emit)

    def stop(self) -> None:
        """What was asked needs no answer any more; none is told."""
        for kind in self._questions:
            self._questions[kind] += 1

    def _ask(self, kind: str, work: Callable[[], _T], told: Callable[[_T], None]) -> None:
        self._questions[kind] += 1
        number = self._questions[kind]

        def done(answer: _T) -> None:
            if self._questions[kind] == number:
                told(answer)

        def failed(error: EmberError) -> None:
            if self._questions[kind] == number:
                self.failed.emit(error.kind, error.sentence)

        run_detached(self, work, done, failed)
