"""The saved state as the window sees it: whether and what is saved, what each chat takes, and removing it."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from PySide6.QtCore import QObject, QTimer, Signal

from app.core.conversation import ConversationId, MessageId
from app.core.errors import EmberError
from app.protocol.answers import Failed, SavedDropped, SavedUsage, Statistics, StoreOpened
from app.protocol.messages import Response
from app.protocol.parts import TipUsage
from app.protocol.requests import ClearSaved, DropSaved, GetSavedUsage, OpenStore, VerifySaved
from app.services.engine_client import EngineClient, EngineState
from app.services.saved_pins import SavedPins
from app.services.written_today import written_today
from app.storage.saved_roots import SavedModel, SavedRoots
from app.storage.settings import SettingsStore

logger = logging.getLogger(__name__)

ON = "saved_state.on"
BUDGET = "saved_state.budget"
DEFAULT_BUDGET = "saved_state.default_budget"
"""Keys of settings: whether state is saved at all, the bytes it may take (None: the default), and that default as the
engine last said it."""
USAGE_DELAY = 0.3
"""Seconds; many changes in one moment are one question to the engine."""
USAGE_REST = 20
"""Times what the last question took: that long the next one waits, so that questions take under 5 % of a core."""

OnUsage = Callable[[dict[ConversationId, TipUsage], SavedUsage], None]
OnDropped = Callable[[SavedDropped | Failed], None]
OnSettled = Callable[[int | None], None]
"""Gets the bytes that were freed; None if the engine cannot remove them now, and will when it is there again."""


class SavedStates(QObject):
    """Tells the engine where state is saved, and keeps account of what each chat has there."""

    changed = Signal()
    """`of`, `usage` or a setting may be otherwise now."""
    trouble = Signal(str)
    """A sentence: state cannot be saved; empty when it can again."""

    def __init__(
        self,
        folder: Path,
        roots: SavedRoots,
        settings: SettingsStore,
        engine: EngineClient,
        parent: QObject,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the store in `folder` whenever an engine starts; `clock` gives seconds."""
        super().__init__(parent)
        self._folder = folder
        self._roots = roots
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._usage: dict[ConversationId, TipUsage] = {}
        self._generation: int | None = None
        self.usage: SavedUsage | None = None
        """The whole, as the engine last said; None before that, and while no engine has the store open."""
        self.is_open = False
        """Whether the engine has opened the store."""
        self.why_not = ""
        """A sentence: why it could not be opened."""
        self._pins = SavedPins(roots, engine, self.changed.emit)
        self.written_today = 0
        """Bytes; since Ember first looked today."""
        self._waiting: list[Callable[[str], None]] = []
        self._may_owe = True
        """Whether the database may hold tips that are still to be removed."""
        self._is_asking = self._asks_again = False
        """Whether an answer about the usage is awaited, and whether a person has changed something since."""
        self._not_before = 0.0
        """When the next question may be asked, by the clock."""
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._ask_usage)
        engine.state_changed.connect(self._engine_changed)
        engine.statistics.connect(self._statistics)

    def close(self) -> None:
        """Ask nothing any more."""
        self._later.stop()
        self.is_open = False

    # --- settings ----------------------------------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        """Whether state is saved at all."""
        return self._settings.get(ON, bool, True)

    def switch(self, on: bool) -> None:
        """Save state from now on, or write nothing any more; what is saved stays until it is cleared."""
        self._settings.set(ON, on)
        self.changed.emit()

    @property
    def chosen_budget(self) -> int | None:
        """The bytes that the person lets saved state take; None for the default."""
        return self._settings.get(BUDGET, int, None)

    @property
    def default_budget(self) -> int:
        """The default in bytes, as the engine worked it out at the first start; 0 while that is not known."""
        return self._settings.get(DEFAULT_BUDGET, int, 0)

    def set_budget(self, budget: int | None) -> None:
        """Let the saved state take that many bytes; None for the default."""
        self._settings.set(BUDGET, budget)
        self._open()

    def may_save(self, conversation: ConversationId) -> bool:
        """Whether a turn of this chat is saved, and may use what is."""
        return self.is_on and self._roots.may_save(conversation)

    def is_let(self, conversation: ConversationId) -> bool:
        """Whether the person lets this chat's state be saved, wherever saving is on."""
        return self._roots.may_save(conversation)

    def set_may_save(self, conversation: ConversationId, may: bool, told: OnSettled = lambda _freed: None) -> None:
        """Let this chat's state be saved, or never; then what there is of it is removed at once. Raises EmberError."""
        self._roots.set_may_save(conversation, may)
        self.changed.emit()
        self.settle(told)

    def never_saved(self) -> frozenset[ConversationId]:
        """The chats whose state is never saved."""
        return self._roots.never_saved()

    def pinned(self) -> frozenset[ConversationId]:
        """The chats whose saved state stays, whatever the budget."""
        return self._roots.pinned()

    def set_pinned(self, conversation: ConversationId, pinned: bool) -> None:
        """Let a chat's saved state stay whatever the budget, or be evicted as any other. Raises EmberError."""
        self._roots.set_pinned(conversation, pinned)
        self._tell_pins()
        self.changed.emit()

    def _tell_pins(self) -> None:
        if self.is_open:
            self._pins.tell()

    @property
    def pinned_bytes(self) -> int:
        """What the pinned chats take together, as the engine last said."""
        return self._pins.bytes

    # --- the engine's store ------------------------------------------------------------------------------------------

    def _engine_changed(self, state: EngineState) -> None:
        if state == "ready":
            self._open()
            return
        self._shut("")
        if state == "failed":
            self._tell_waiting()

    def _shut(self, why_not: str) -> None:
        """No engine has the store open, so what it holds is not known."""
        self.is_open, self.why_not, self.usage = False, why_not, None
        self._pins.forget()
        self._is_asking = self._asks_again = False
        self.changed.emit()

    def when_open(self, call: Callable[[str], None]) -> None:
        """Call once the engine has the store and has removed what was owed, or with a sentence if it cannot open it.

        Where no engine runs it is called too: what is asked then fails with a sentence of its own.
        """
        if self.is_open or self.why_not or self._engine.state in ("stopped", "failed"):
            call(self.why_not)
        else:
            self._waiting.append(call)

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call(self.why_not)

    def _open(self) -> None:
        pinned = self._roots.pinned_tips()
        request = OpenStore(
            id=self._engine.new_id(), folder=str(self._folder), budget=self.chosen_budget, pinned=pinned
        )
        self._engine.send(request, self._opened)

    def _opened(self, answer: Response) -> None:
        if isinstance(answer, StoreOpened):
            self.is_open, self.why_not = True, ""
            if self.chosen_budget is None:
                self._remember_default(answer.budget)
            self.trouble.emit("")
            self._tell_pins()
            self.settle(lambda _freed: self._tell_waiting())
            self.refresh()
        elif isinstance(answer, Failed) and answer.kind != "engine_died":
            self._shut(answer.sentence)
            self.trouble.emit(answer.sentence)
            self._tell_waiting()

    def _remember_default(self, budget: int) -> None:
        try:
            if budget != self.default_budget:
                self._settings.set(DEFAULT_BUDGET, budget)
        except EmberError as error:  # it is said again at the next start
            logger.warning("the default budget was not noted: %s", error.sentence)

    def settle(self, told: OnSettled = lambda _freed: None) -> None:
        """Have the engine remove what is owed; without an engine it waits for the next one."""
        owed = self._roots.owed()
        self._may_owe = bool(owed)
        if not owed or not self.is_open:
            told(None if owed else 0)
            return

        def dropped(answer: Response) -> None:
            if isinstance(answer, SavedDropped):
                logger.info("%d bytes of saved state removed", answer.freed_bytes)
                self._settled(owed)
                told(answer.freed_bytes)
            elif isinstance(answer, Failed):
                told(None)

        self._engine.send(self._drop(owed), dropped)

    def _drop(self, owed: tuple[bytes, ...]) -> DropSaved:
        """The order to remove what belongs to the owed tips alone."""
        return DropSaved(id=self._engine.new_id(), tips=owed, keep=self._roots.wanted())

    def _settled(self, owed: tuple[bytes, ...]) -> None:
        try:
            self._roots.settled(owed)
        except EmberError as error:  # then they are removed once more
            logger.warning("what was removed is still noted as owed: %s", error.sentence)
        self._tell_pins()
        self.refresh()

    def record(self, message: MessageId, root: bytes, tip: bytes, name: str) -> None:
        """Note where the saved state of a reply's branch ends. Raises EmberError."""
        path = self._engine.model.path if self._engine.model is not None else ""
        is_wanted = self._roots.record(message, root, tip, SavedModel(path, name))
        self._ask_soon()
        if self._may_owe or not is_wanted:
            self.settle()
        self._tell_pins()

    # --- what is there -----------------------------------------------------------------------------------------------

    def of(self, conversation: ConversationId | None) -> TipUsage | None:
        """What the chat has saved, as the engine last said; None for nothing, and for no chat."""
        usage = self._usage.get(conversation) if conversation is not None else None
        return usage if usage is not None and usage.tokens else None

    def all(self) -> dict[ConversationId, TipUsage]:
        """What each chat has saved that has anything."""
        return {conversation: usage for conversation, usage in self._usage.items() if usage.tokens}

    def _statistics(self, statistics: Statistics) -> None:
        if statistics.saved_generation != self._generation:
            self._generation = statistics.saved_generation
            self._ask_soon()

    def _ask_soon(self) -> None:
        """Ask for the usage when some time has passed, the more the longer the last question took."""
        if not self._later.isActive():
            wait = max(USAGE_DELAY, self._not_before - self._clock())
            self._later.start(round(1e3 * wait))

    def refresh(self) -> None:
        """Ask for the usage now, as a person waits for it; `changed` follows if it is otherwise than before."""
        self._later.stop()
        if self._is_asking:
            self._asks_again = True
        else:
            self._ask_usage()

    def _ask_usage(self) -> None:
        if not self.is_open:
            return
        if self._is_asking:
            self._ask_soon()
            return
        self._is_asking, began = True, self._clock()

        def answered() -> None:
            now = self._clock()
            self._is_asking, self._not_before = False, now + USAGE_REST * (now - began)
            if self._asks_again:
                self._asks_again = False
                self._ask_usage()

        def told(usage: dict[ConversationId, TipUsage], everything: SavedUsage) -> None:
            self._keep_usage(usage, everything)
            answered()

        self.ask(told, lambda _failed: answered())

    def _keep_usage(self, usage: dict[ConversationId, TipUsage], everything: SavedUsage) -> None:
        self.written_today = written_today(self._settings, everything.bytes_written)
        if usage != self._usage or self.usage is None or not _is_same(everything, self.usage):
            self._usage, self.usage = usage, everything
            self.changed.emit()

    def ask(self, told: OnUsage, failed: Callable[[Failed], None]) -> None:
        """Ask the engine what all chats take, and the whole."""
        tips = self._roots.tips()
        request = GetSavedUsage(id=self._engine.new_id(), groups=tuple(tips.values()))

        def answered(answer: Response) -> None:
            if isinstance(answer, SavedUsage):
                told(dict(zip(tips, answer.groups, strict=True)), answer)
            elif isinstance(answer, Failed):
                failed(answer)

        self._engine.send(request, answered)

    # --- removing and checking ---------------------------------------------------------------------------------------

    def clear(self, told: OnDropped, conversation: ConversationId | None = None) -> None:
        """Remove one chat's saved state, or (None) everything; the texts stay. Raises EmberError."""
        self._roots.forget(conversation)
        self._may_owe = True
        owed = self._roots.owed()
        order = ClearSaved(id=self._engine.new_id()) if conversation is None else self._drop(owed)
        self._order(order, owed, told)

    def models(self) -> dict[bytes, SavedModel]:
        """The models that fingerprints belong to."""
        return self._roots.models()

    def roots_of(self, path: Path) -> tuple[bytes, ...]:
        """The fingerprints under which state of a model's file was saved."""
        return tuple(root for root, model in self._roots.models().items() if Path(model.path) == path)

    def bytes_of(self, path: Path) -> int:
        """What is saved of a model's file; 0 also while that is not known."""
        if self.usage is None:
            return 0
        roots = self.roots_of(path)
        return sum(each.bytes for each in self.usage.roots if each.root in roots)

    def clear_roots(self, roots: tuple[bytes, ...], told: OnDropped) -> None:
        """Remove everything that is saved under some fingerprints."""
        self._order(ClearSaved(id=self._engine.new_id(), roots=roots), (), told)

    def _order(self, request: DropSaved | ClearSaved, owed: tuple[bytes, ...], told: OnDropped) -> None:
        def answered(answer: Response) -> None:
            if isinstance(answer, SavedDropped):
                self._settled(owed)
                self._engine.refresh_statistics()
                told(answer)
            elif isinstance(answer, Failed):
                told(answer)

        self._engine.send(request, answered)

    def verify(self, told: Callable[[Response], None]) -> int:
        """Have every file read; `told` gets VerifyProgress…, then SavedVerified or Failed. The request's id."""
        request = VerifySaved(id=self._engine.new_id())
        self._engine.send(request, told)
        return request.id


def _is_same(one: SavedUsage, other: SavedUsage) -> bool:
    """Whether two answers say the same, whatever was asked."""
    return msgspec.structs.replace(one, id=0) == msgspec.structs.replace(other, id=0)
