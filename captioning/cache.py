"""Where things lie that were fetched once and can be fetched again."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """The environment variable CAPTIONING_CACHE, or `captioning` in the user's folder for caches.

    That is `~/.cache` or XDG_CACHE_HOME on Linux, and the system's own elsewhere.
    """
    return Path(os.environ.get("CAPTIONING_CACHE") or user_cache_path("captioning"))
