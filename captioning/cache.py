"""The folder for downloads that can be fetched again."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """Return CAPTIONING_CACHE from the environment, or `captioning` in the user's cache folder.

    On Linux that folder is XDG_CACHE_HOME or `~/.cache`; elsewhere it is the system's own.
    """
    return Path(os.environ.get("CAPTIONING_CACHE") or user_cache_path("captioning"))
