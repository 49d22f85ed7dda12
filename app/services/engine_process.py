"""The engine as a child process: start, frames in and out, and what became of it."""

import logging
import os
import re
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal

import app
from app.protocol.framing import FrameReader, FramingError, frame
from app.protocol.messages import ProtocolError, Request, decode_answer, encode

logger = logging.getLogger(__name__)

KEPT_LINES = 60
"""Lines of the engine's stderr that are kept to say why it ended."""
KILLED_BY_SYSTEM = 9
ABORTED = 6
NEVER_STARTED = -1
MEMORY_WORDS = (
    *("out of memory", "failed to allocate", "cannot allocate memory", "memoryerror", "bad_alloc"),
    *("cudamalloc", "hipmalloc", "outofdevicememory", "outofhostmemory", "kiogpucommandbuffercallbackerroroutofmemory"),
)
"""What llama.cpp, its backends, C++ and Python say when memory does not suffice; in small letters."""
GPU_WORDS = re.compile(r"(?<![a-z])(cuda|vulkan|vk::|metal|mtl|rocm|hip|sycl|opencl)|device ?lost", re.IGNORECASE)
"""What names a GPU or its backend."""


def names_memory(text: str) -> bool:
    """Whether it says that memory did not suffice."""
    return any(words in text.lower() for words in MEMORY_WORDS)


def names_gpu(text: str) -> bool:
    """Whether it speaks of a GPU."""
    return GPU_WORDS.search(text) is not None


@dataclass(frozen=True, slots=True)
class EngineDeath:
    """How the engine process ended without being asked to."""

    exit_code: int
    """The exit status, the signal's number where `crashed`, or NEVER_STARTED."""
    crashed: bool
    last_lines: tuple[str, ...]

    @property
    def is_memory(self) -> bool:
        """Whether it looks as if memory did not suffice: it says so, or the system ended it as Linux does then."""
        killed = self.crashed and self.exit_code == KILLED_BY_SYSTEM
        return self.exit_code != NEVER_STARTED and (killed or names_memory("\n".join(self.last_lines)))

    @property
    def is_gpu(self) -> bool:
        """Whether a GPU is named in what it said last."""
        return self.exit_code != NEVER_STARTED and names_gpu("\n".join(self.last_lines))

    @property
    def sentence(self) -> str:
        """What happened, in plain words."""
        if self.exit_code == NEVER_STARTED:
            return f"The engine could not be started ({' '.join(self.last_lines)})."
        text = "\n".join(self.last_lines).lower()
        if names_memory(text):
            return "The engine ran out of memory and ended."
        if "ggml_assert" in text or "ggml_abort" in text or (self.crashed and self.exit_code == ABORTED):
            return "The engine met an error in llama.cpp and ended."
        if self.crashed and self.exit_code == KILLED_BY_SYSTEM:
            return "The engine was ended from outside, perhaps because memory ran out."
        if self.crashed:
            return f"The engine crashed (signal {self.exit_code})."
        return f"The engine ended unexpectedly (exit code {self.exit_code})."


def engine_command(log_folder: Path) -> list[str]:
    """The command line of an engine process."""
    return [sys.executable, "-m", "app", "engine", "--log-dir", str(log_folder)]


class EngineProcess(QObject):
    """One run of the engine."""

    answered = Signal(object)
    """An Answer."""
    ended = Signal(object)
    """EngineDeath, or None when it was asked to end."""

    def __init__(self, log_folder: Path, parent: QObject | None = None) -> None:
        """Prepare; `start` runs it."""
        super().__init__(parent)
        self._reader = FrameReader()
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._closing = False
        self._over = False
        self._command = engine_command(log_folder)
        self._process = QProcess(self)
        self._process.setProcessEnvironment(_environment())
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._read_errors)
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(self._failed)

    def start(self) -> None:
        """Run the engine; its Hello arrives by `answered`."""
        self._process.start(self._command[0], self._command[1:])

    @property
    def pid(self) -> int:
        """The process id, 0 when it does not run."""
        return self._process.processId()

    def send(self, request: Request) -> None:
        """Queue a request; never blocks."""
        if self._process.state() != QProcess.ProcessState.NotRunning:
            self._process.write(frame(encode(request)))

    def close(self, wait_ms: int = 3000) -> None:
        """End it by closing its stdin, and by force if it takes too long."""
        self._closing = True
        if self._process.state() == QProcess.ProcessState.NotRunning:
            return
        self._process.closeWriteChannel()
        if not self._process.waitForFinished(wait_ms):
            self._process.kill()
            self._process.waitForFinished(1000)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._process.kill()

    def _read(self) -> None:
        try:
            for payload in self._reader.feed(bytes(self._process.readAllStandardOutput().data())):
                self.answered.emit(decode_answer(payload))
        except (FramingError, ProtocolError) as error:
            logger.error("the engine sent what is no answer: %s", error)
            self._lines.append(f"protocol error: {error}")
            self._process.kill()

    def _read_errors(self) -> None:
        text = bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace")
        for line in text.splitlines():
            self._lines.append(line[:500])
            logger.warning("engine: %s", line[:500])

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._end(EngineDeath(NEVER_STARTED, False, (self._process.errorString(),)))

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read_errors()
        crashed = status == QProcess.ExitStatus.CrashExit
        self._end(None if self._closing else EngineDeath(code, crashed, tuple(self._lines)))

    def _end(self, death: EngineDeath | None) -> None:
        if not self._over:
            self._over = True
            self.ended.emit(death)


def _environment() -> QProcessEnvironment:
    """This process's environment, with `app` importable and nothing else from the working directory."""
    environment = QProcessEnvironment.systemEnvironment()
    root = str(Path(app.__file__).resolve().parent.parent)
    others = environment.value("PYTHONPATH", "").split(os.pathsep)
    # An empty entry would mean the working directory.
    environment.insert("PYTHONPATH", os.pathsep.join([root, *(other for other in others if other)]))
    environment.insert("PYTHONSAFEPATH", "1")
    environment.insert("GGML_NO_BACKTRACE", "1")
    return environment
