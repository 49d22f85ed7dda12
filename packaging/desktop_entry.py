"""Puts Ember into the menu of a Linux desktop, for this account, and lets a double click on an .ember file open it.

    python3 packaging/desktop_entry.py [--remove]

It needs the standard library only. The entry starts the .venv of this checkout, and is hidden while there is none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from engine_build import SetupError
from environment import ROOT, Environment, say

MARK = "X-Ember-Checkout="
# What must be told of a change: the program, its package, the folder below the data folder, what it is for.
DATABASES = (
    ("update-mime-database", "shared-mime-info", "mime", "know .ember files"),
    ("update-desktop-database", "desktop-file-utils", "applications", "open .ember files with Ember"),
)
# Within the double quotes of Exec; a string's own backslashes come on top.
_QUOTED = str.maketrans({character: "\\" + character for character in '"`$\\'})


@dataclass(frozen=True)
class Places:
    """Where the three files go, below the folder that XDG_DATA_HOME names."""

    data_home: Path

    @property
    def entry(self) -> Path:
        """The entry of the menu; its name is what the window calls itself."""
        return self.data_home / "applications" / "ember.desktop"

    @property
    def file_type(self) -> Path:
        """What .ember files are."""
        return self.data_home / "mime" / "packages" / "ember.xml"

    @property
    def icon(self) -> Path:
        """The icon of both."""
        return self.data_home / "icons" / "hicolor" / "scalable" / "apps" / "ember.svg"

    @property
    def all(self) -> tuple[Path, ...]:
        """All three."""
        return self.entry, self.file_type, self.icon


def data_home(environment: dict[str, str]) -> Path:
    """XDG_DATA_HOME, which must be absolute to count, else its default."""
    named = Path(environment.get("XDG_DATA_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".local" / "share"


def entry_text(root: Path, python: Path) -> str:
    """The desktop entry for a checkout and its interpreter; raises SetupError where an entry cannot name it."""
    if "=" in str(python) or not str(python).isprintable():
        raise SetupError(f"A desktop entry cannot start “{python}”; move Ember to a folder with a plainer name.")
    text = (ROOT / "packaging" / "linux" / "ember.desktop").read_text(encoding="utf-8")
    quoted = '"' + str(python).translate(_QUOTED).replace("%", "%%") + '"'
    values = {"@PYTHON@": quoted, "@TRY@": str(python), "@ROOT@": str(root)}
    for name, value in values.items():
        text = text.replace(name, value.replace("\\", "\\\\"))
    return text


def install(root: Path, python: Path, places: Places) -> None:
    """Write the three files, each whole or not at all; raises SetupError, and OSError where they cannot be written."""
    if not python.exists():
        raise SetupError(f"There is no {python} to start Ember with; `make setup` makes it.")
    if places.entry.exists() and MARK not in places.entry.read_text(encoding="utf-8", errors="replace"):
        raise SetupError(f"“{places.entry}” is not Ember's, so nothing was changed; move it away first.")
    contents = (
        entry_text(root, python).encode(),
        (ROOT / "packaging" / "linux" / "ember.xml").read_bytes(),
        (ROOT / "app" / "resources" / "icons" / "ember.svg").read_bytes(),
    )
    for path, content in zip(places.all, contents, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.tmp")
        unfinished.write_bytes(content)
        unfinished.replace(path)


def remove(places: Places) -> bool:
    """Take the files away again; whether there was an entry of Ember's. Raises OSError."""
    if not places.entry.exists() or MARK not in places.entry.read_text(encoding="utf-8", errors="replace"):
        return False
    for path in places.all:
        path.unlink(missing_ok=True)
    return True


def tell_desktop(places: Places) -> None:
    """Have the desktop's lists made anew; says what does not work where a program for it is missing."""
    for program, package, folder, purpose in DATABASES:
        found = shutil.which(program)
        if found is None:
            say(f"{program} is missing, so the desktop may not {purpose}; it is in the package {package}.")
            continue
        command = [found, str(places.data_home / folder)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            say(": ".join([f"{program} failed, so the desktop may not {purpose}", *said[-1:]]))


def main(arguments: list[str]) -> int:
    """Parses the command line and does it; returns the exit status."""
    parser = argparse.ArgumentParser(description="Puts Ember into the menu of a Linux desktop, for this account.")
    parser.add_argument("--remove", action="store_true", help="take it away again")
    options = parser.parse_args(arguments)
    places = Places(data_home(dict(os.environ)))
    try:
        if sys.platform in ("win32", "darwin"):
            raise SetupError("Desktop entries are for Linux; Windows has packaging\\windows\\file_type.ps1.")
        if not options.remove:
            install(ROOT, Environment(ROOT).python, places)
        elif not remove(places):
            say(f"There is no entry of Ember's in {places.entry.parent}.")
            return 0
        tell_desktop(places)
    except SetupError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"The desktop's entry could not be changed: {error}.")
        return 1
    if options.remove:
        say("The desktop's menu has no entry for Ember any more. Your chats are untouched.")
    else:
        say("Ember is in the desktop's menu, and a double click on an .ember file or a backup opens it.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
