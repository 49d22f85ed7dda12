"""Turns without a window: `send` and `regenerate`, on the window's own services."""

import logging
import signal
import sys
from collections import deque
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from PySide6.QtCore import QCoreApplication, QMessageLogContext, QTimer, QtMsgType, qInstallMessageHandler

from app.core.conversation import ConversationId, ConversationTree, MessageId
from app.core.errors import EmberError
from app.core.turn import TurnFigures
from app.protocol.parts import ModelInfo
from app.services.engine_process import EngineDeath
from app.services.model_library import display_name, starter_model
from app.services.output import tell, write, write_json
from app.services.signals import call_on_signals
from app.services.turns import TurnOutcome, TurnRequest
from app.services.workspace import Workspace

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SendOptions:
    """What `send` or `regenerate` was asked for; None leaves what the conversation has."""

    texts: tuple[str, ...] = ()
    model: Path | None = None
    conversation: str | None = None
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    context: int | None = None
    after: str | None = None
    """The message that the first text follows; the end of what is shown without it."""
    regenerate: bool = False
    """Give another reply instead of sending texts."""
    message: str | None = None
    """Which message to answer again, or which reply to give anew; the last one without it."""
    use_kv: bool = True
    as_json: bool = False


def send(options: SendOptions, root: Path | None) -> int:
    """Send each text as one turn and print the replies; the exit status.

    Raises EmberError for what keeps it from beginning, ReaderGoneError when nobody reads the replies.
    """
    qInstallMessageHandler(_log_qt)
    application = QCoreApplication.instance() or QCoreApplication(sys.argv[:1])
    workspace = Workspace(root)
    try:
        if workspace.notice is not None:
            tell(workspace.notice)
        return _Sender(options, workspace, application).run()
    finally:
        workspace.close()


def _log_qt(_kind: QtMsgType, _context: QMessageLogContext, message: str) -> None:
    """What Qt has to say belongs into the log, not among the sentences."""
    logger.warning("Qt: %s", message)


class _Sender:
    """Loads the model, asks the turns one after the other, prints, and ends the event loop."""

    def __init__(self, options: SendOptions, workspace: Workspace, application: QCoreApplication) -> None:
        self._options = options
        self._workspace = workspace
        self._application = application
        self._requests: deque[TurnRequest] = deque()
        self._status = 0
        self._over = False
        self._stopping = False
        self._trouble = ""
        self._not_saved = ""
        """Why state could not be saved, as it was last told."""
        self._uncaught: BaseException | None = None
        self._model: ModelInfo | None = None
        wanted = options.conversation
        self._conversation = None if wanted is None else workspace.store.resolve(wanted)
        self._after = self._find(options.after) if options.after is not None else None
        self._answers = self._to_answer_again() if options.regenerate else None

    def run(self) -> int:
        path = self._options.model or starter_model()
        if path is None:
            raise EmberError("The starter model is not installed. Give a model with --model FILE.", "no_model")
        chats, engine = self._workspace.chats, self._workspace.engine
        engine.model_changed.connect(self._model_changed)
        engine.load_failed.connect(lambda _kind, sentence: self._fail(sentence))
        engine.died.connect(self._died)
        chats.turn_ended.connect(self._turn_ended)
        chats.turn_saved.connect(self._turn_saved)
        chats.storing_failed.connect(self._storing_failed)
        chats.refused.connect(lambda _request, _kind, sentence: self._fail(sentence))
        if not self._options.as_json:
            chats.text_added.connect(lambda _reply, piece: write(piece))
        engine.start()
        options, context = self._workspace.model_settings.options(path), self._options.context
        engine.load(path.absolute(), options if context is None else replace(options, context=context))
        self._run_loop()
        if self._uncaught is not None:
            raise self._uncaught
        return self._status

    def _run_loop(self) -> None:
        """Qt's loop, left by `quit`, by Ctrl+C, and by an exception that nobody caught."""
        hook, sys.excepthook = sys.excepthook, self._leave_on_exception
        signals = call_on_signals((signal.SIGINT,), self._interrupted)
        try:
            self._application.exec()
        finally:
            self._over = True
            signals.stop()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left, storing included, is soon done
            sys.excepthook = hook

    def _leave_on_exception(
        self, _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
    ) -> None:
        """Qt reports here what its slots raise and goes on; a command must not hang, so `run` raises it again."""
        self._uncaught = self._uncaught or error
        self._application.quit()

    def _interrupted(self) -> None:
        """Ctrl+C: the running turn ends as cancelled; a second time, or before a turn, everything ends."""
        if self._workspace.chats.running is None or self._stopping:
            self._fail("Stopped before the reply was whole. What had come by then is kept.")
            return
        self._stopping = True
        if self._requests:
            self._fail("Stopped: the messages after this one were not sent.", leave=False)
            self._requests.clear()
        self._workspace.chats.stop()

    def _fail(self, sentence: str, *, leave: bool = True) -> None:
        """Say why, once."""
        if self._status == 0:
            tell(sentence)
        self._status = 1
        if leave:
            self._application.quit()

    def _died(self, death: EngineDeath) -> None:
        if self._workspace.engine.state == "failed":
            self._fail(death.sentence)

    def _storing_failed(self, sentence: str) -> None:
        self._trouble = sentence

    def _model_changed(self, model: ModelInfo | None) -> None:
        if model is not None and self._model is None:
            self._model = model
            self._conversation = self._open_conversation(model)
            for notice in model.notices:
                tell(notice)
            self._next()

    def _open_conversation(self, model: ModelInfo) -> ConversationId:
        """The conversation to go on with; made only now, so that a model that cannot be loaded leaves no trace."""
        store, options = self._workspace.store, self._options
        conversation = self._conversation
        if conversation is None:
            conversation = self._workspace.chats.new_conversation(options.system or "").id
        elif options.system is not None:
            store.set_system_prompt(conversation, options.system)
        sampler = store.get(conversation).sampler
        if options.temperature is not None:
            sampler = replace(sampler, temperature=options.temperature)
        if options.seed is not None:
            sampler = replace(sampler, seed=options.seed)
        store.set_sampler(conversation, sampler)
        store.set_model(conversation, model.path)
        turn = TurnRequest(conversation, max_tokens=options.max_tokens, use_kv=options.use_kv)
        if self._answers is not None:
            self._requests.append(replace(turn, answers=self._answers))
        for number, text in enumerate(options.texts):
            self._requests.append(replace(turn, text=text, parent=self._after if number == 0 else None))
        return conversation

    def _tree(self) -> ConversationTree:
        if self._conversation is None:
            raise EmberError("Name the conversation that the message is in, with --conversation ID.", "no_conversation")
        return self._workspace.store.tree(self._conversation)

    def _find(self, prefix: str) -> MessageId:
        """The message of the conversation whose id begins with `prefix`. Raises EmberError."""
        found = [message for message in self._tree().messages if message.startswith(prefix.strip().lower())]
        if len(found) != 1 or not prefix.strip():
            what = "More than one message has" if len(found) > 1 else "There is no message with"
            raise EmberError(f"{what} an id that begins with “{prefix}” in this conversation.", "no_message")
        return found[0]

    def _to_answer_again(self) -> MessageId:
        """The message of the person's that gets another reply. Raises EmberError."""
        tree, wanted = self._tree(), self._options.message
        if wanted is not None:
            message = tree.messages[self._find(wanted)]
        else:
            shown = [message for message in tree.path() if message.role == "assistant"]
            if not shown:
                raise EmberError("There is no reply yet that could be given anew.", "no_message")
            message = shown[-1]
        answered = message.id if message.role == "user" else message.parent
        if answered is None:
            raise EmberError("This reply answers no message, so it cannot be given anew.", "no_message")
        return answered

    def _next(self) -> None:
        if not self._requests:
            self._application.quit()
            return
        try:
            self._workspace.chats.ask(self._requests.popleft())
        except EmberError as error:
            self._fail(error.sentence)

    def _turn_ended(self, outcome: TurnOutcome) -> None:
        if self._over:  # closing the workspace ends what still ran
            return
        if outcome.done is None:
            sentence = outcome.failure.sentence if outcome.failure is not None else "The turn failed."
            self._fail(f"{sentence} What had come of the reply is kept." if outcome.reply.text else sentence)
            return
        for notice in outcome.done.notices:
            tell(notice)

    def _turn_saved(self, outcome: TurnOutcome, trouble: str) -> None:
        """All of a turn's work is done: print its line, and go on."""
        if self._over:
            return
        if trouble and trouble != self._not_saved:
            self._not_saved = trouble
            tell(trouble)
        if not self._workspace.is_in_its_folder:
            self._fail(f"The folder {self._workspace.data_dir.root} was removed meanwhile, so nothing was kept.")
        elif self._trouble:
            self._fail(self._trouble)
        elif self._options.as_json:
            write_json(self._turn_line(outcome))
        else:
            write("\n")
        QTimer.singleShot(0, self._next)

    def _turn_line(self, outcome: TurnOutcome) -> dict[str, Any]:
        reply, figures = outcome.reply, outcome.reply.figures or TurnFigures()
        measured = asdict(figures)
        model = self._model
        return {
            "conversation": reply.conversation,
            "message": reply.id,
            "model": display_name(model.path, model.name) if model is not None else reply.model,
            "text": reply.text,
            "finish_reason": reply.finish_reason,
            "tokens": measured["tokens"],
            "seconds": {name: round(value, 6) for name, value in measured["seconds"].items()},
            "tokens_per_second": round(figures.tokens_per_second, 3),
            "kv": measured["kv"],
            "reread": measured["reread"],
        }
