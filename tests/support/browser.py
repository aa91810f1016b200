"""A headless Chromium, which says what became of a page."""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Seen(NamedTuple):
    """A page once its scripts have run, and what they complained of."""

    content: str
    complaints: list[str]


def program() -> str | None:
    """Where there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def look(address: str, folder: Path) -> Seen:
    """Open a page, with the browser's own files in a folder."""
    browser = program()
    assert browser
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    options += [f"--user-data-dir={folder / 'browser'}", "--enable-logging=stderr", "--dump-dom"]
    found = subprocess.run(
        [browser, *options, address], capture_output=True, timeout=120, check=True
    )
    told = found.stderr.decode(errors="replace").splitlines()
    return Seen(found.stdout.decode(), [line for line in told if "CONSOLE" in line])
