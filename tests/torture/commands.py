"""The `send` command, killed with its engine at random moments: no word that was there may be lost."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.support.engine import ROOT
from tests.support.tiny_models import Kind, make
from tests.torture.engines import Tally

LONGEST: Final = 60.0
"""Seconds for a command that is not killed."""


class Commands:
    """One data folder, and what is known to be in it."""

    def __init__(self, folder: Path, dice: random.Random, tally: Tally) -> None:
        """Make a model for it."""
        self._model, self._data = make(Kind.HYBRID, folder / "commands.gguf"), folder / "data"
        self._dice, self._tally = dice, tally
        self._known: dict[str, dict[str, str]] = {}
        """By conversation: the messages' texts, as they were read back."""

    def round(self) -> None:
        """Send something, perhaps kill it, and read everything back."""
        self._tally.starts += 1
        conversation = self._dice.choice([None, *self._known]) if self._known else None
        texts = [f"Number {self._dice.random()} is what I say" for _ in range(self._dice.randrange(1, 4))]
        going_on = ["--conversation", conversation] if conversation is not None else []
        command = ["send", "--model", str(self._model), "--context", "1024", "--max-tokens", "40", *going_on, *texts]
        running = subprocess.Popen(
            self._command(command), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, cwd=ROOT
        )
        patience = self._dice.uniform(0.2, 6.0) if self._dice.random() < 0.7 else LONGEST
        try:
            _, said = running.communicate(timeout=patience)
            if running.returncode and b"context" not in said:
                self._fault(f"send failed: {said.decode(errors='replace')[-300:]}")
        except subprocess.TimeoutExpired:
            self._tally.kills += 1
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
        self._read_back()

    def _fault(self, what: str) -> None:
        self._tally.faults.append(f"commands: {what}")

    def _command(self, arguments: list[str]) -> list[str]:
        return [sys.executable, "-m", "app", "--data-dir", str(self._data), *arguments]

    def _lines(self, *arguments: str) -> list[Any]:
        """What a reading command prints; a fault where it fails."""
        done = subprocess.run(self._command([*arguments, "--json"]), capture_output=True, cwd=ROOT, check=False)
        if done.returncode:
            self._fault(f"{arguments[0]} failed: {done.stderr.decode(errors='replace')[-300:]}")
            return []
        return [json.loads(line) for line in done.stdout.splitlines()]

    def _read_back(self) -> None:
        """Whatever was there is still there, and as it was, but for a reply that has grown."""
        if not (self._data / "ember.db").exists():
            return
        found = {line["id"]: self._messages(line["id"]) for line in self._lines("conversations")}
        for conversation, messages in self._known.items():
            for message, text in messages.items():
                if not found.get(conversation, {}).get(message, "").startswith(text):
                    self._fault(f"message {message} is lost or changed")
        self._known = found

    def _messages(self, conversation: str) -> dict[str, str]:
        shown = self._lines("show", conversation)
        return {message["id"]: message["text"] for message in shown[0]["messages"]} if shown else {}
