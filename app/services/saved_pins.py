"""The pinned chats' tips as the engine has to know them: told when they change, and again to each new engine."""

from collections.abc import Callable

from app.protocol.answers import SavedPinned
from app.protocol.messages import Response
from app.protocol.requests import PinSaved
from app.services.engine_client import EngineClient
from app.storage.saved_roots import SavedRoots


class SavedPins:
    """What of the saved state stays whatever the budget."""

    def __init__(self, roots: SavedRoots, engine: EngineClient, changed: Callable[[], None]) -> None:
        """Nothing is told yet; `changed` is called when `bytes` may be otherwise."""
        self._roots = roots
        self._engine = engine
        self._changed = changed
        self._told: tuple[bytes, ...] = ()
        self.bytes = 0
        """What the pinned chats take together, as the engine last said."""

    def forget(self) -> None:
        """There is another engine, which was told nothing."""
        self._told = ()

    def tell(self) -> None:
        """Have the engine keep what is pinned now, if that is something else than before."""
        tips = self._roots.pinned_tips()
        if tips == self._told:
            return
        self._told = tips

        def answered(answer: Response) -> None:
            if isinstance(answer, SavedPinned):
                self.bytes = answer.bytes
                self._changed()

        self._engine.send(PinSaved(id=self._engine.new_id(), tips=tips), answered)
