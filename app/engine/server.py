"""The engine process: reads requests from stdin, writes answers to stdout, ends with its stdin.

Its first act is to keep fd 1 for the protocol under another number and to point fd 1 at stderr, so that nothing that
native code prints can corrupt the wire.
"""

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from app import __version__
from app.engine.unused_gpu import unused_gpus
from app.logs import start_logging
from app.protocol.answers import Hello
from app.protocol.framing import FrameReader, FramingError, frame
from app.protocol.messages import PROTOCOL_VERSION, Answer, ProtocolError, Request, decode_request, encode
from app.protocol.requests import (
    AdoptSaved,
    Cancel,
    ClearSaved,
    CountTokens,
    DropSaved,
    ExportSaved,
    GetSavedUsage,
    GetStatistics,
    PinSaved,
    Shutdown,
    VerifySaved,
)

if TYPE_CHECKING:
    from app.engine.worker import Worker

logger = logging.getLogger(__name__)

READ_SIZE = 65536
BUG = 70
"""Exit status after an exception that nobody expected (EX_SOFTWARE of sysexits.h)."""


class Wire:
    """Writes answers, one whole frame at a time, from any thread."""

    def __init__(self, descriptor: int) -> None:
        """Write to an open file descriptor."""
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._closed = False

    def send(self, answer: Answer) -> None:
        """Write an answer; if nobody reads any more, the process ends."""
        data = memoryview(frame(encode(answer)))
        with self._lock:
            try:
                while data and not self._closed:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                os._exit(0)

    def close(self) -> None:
        """Say nothing more: nobody reads."""
        self._closed = True


def _take_stdout() -> int:
    """A private copy of fd 1; fd 1 itself becomes stderr."""
    private = os.dup(1)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (0, private):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return private


def _end_on_a_bug(report: threading.ExceptHookArgs) -> None:
    """A thread that died would leave requests without an answer: end instead, and the window starts a new engine."""
    from app.engine.chat_template import TimeUp

    if isinstance(report.exc_value, TimeUp):
        return  # it reached a rendering that had just ended
    logger.critical("thread %s failed", report.thread, exc_info=report.exc_value)
    threading.__excepthook__(report)
    sys.stderr.flush()
    logging.shutdown()
    os._exit(BUG)


def main(log_folder: Path | None) -> int:
    """Serve until stdin ends; never returns normally, because native threads may still run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in a terminal reaches both processes; the window decides
    wire = Wire(_take_stdout())
    threading.excepthook = _end_on_a_bug
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    if log_folder is None:
        logging.getLogger().addHandler(logging.NullHandler())
    else:
        start_logging(log_folder, "engine.log")

    from app.engine import library  # loads llama.cpp, which must not print on the wire
    from app.engine.worker import Worker

    ggml = library.start()
    devices = ggml.devices()
    logger.info("engine %s, llama-cpp-python %s, ggml %s", __version__, library.version(), ggml.commit())
    wire.send(
        Hello(
            protocol=PROTOCOL_VERSION,
            app_version=__version__,
            llama_version=library.version(),
            llama_commit=ggml.commit(),
            backends=ggml.backends(),
            devices=devices,
            pid=os.getpid(),
            notices=unused_gpus(devices, ggml.backends()),
        )
    )
    worker = Worker(ggml, wire.send)
    reader = FrameReader()
    while data := os.read(0, READ_SIZE):
        try:
            for payload in reader.feed(data):
                _dispatch(decode_request(payload), worker)
        except (FramingError, ProtocolError) as error:
            logger.error("the window sent what is no request: %s", error)
            sys.stderr.write(f"protocol error: {error}\n")
            sys.stderr.flush()
            os._exit(2)
    logger.info("stdin ended")
    wire.close()
    worker.finish()
    logging.shutdown()
    os._exit(0)


def _dispatch(request: Request, worker: "Worker") -> None:
    """Answer at once what can be, queue the rest."""
    match request:
        case Cancel():
            worker.cancel(request.request)
        case CountTokens():
            worker.count_tokens(request)
        case GetStatistics():
            worker.statistics(request)
        case DropSaved() | PinSaved() | ClearSaved() | GetSavedUsage() | VerifySaved() | ExportSaved() | AdoptSaved():
            worker.ask_saved(request)
        case Shutdown():
            logger.info("asked to end")
            worker.finish()
            logging.shutdown()
            os._exit(0)
        case _:
            worker.submit(request)
