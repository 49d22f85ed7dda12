"""Chooses the role of this process: the engine, a headless command, or the window. Imports nothing heavy itself."""

import signal
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run the role that the arguments name; the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C ends quietly until a command answers it itself
    if arguments[:1] == ["engine"]:
        from app.engine.server import main as serve

        folder = Path(arguments[2]) if arguments[1:2] == ["--log-dir"] and len(arguments) > 2 else None
        return serve(folder)
    from app.cli import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
