"""Find the files of a data set."""

import os
from pathlib import Path

from captioning.data.shard_index import shard_of
from captioning.errors import InputError


def data_folder() -> Path:
    """Return the folder of all data sets: CAPTIONING_DATA from the environment, or `data`."""
    return Path(os.environ.get("CAPTIONING_DATA") or "data")


def locate(path: str | Path) -> Path:
    """Find a file, a folder or an image in a shard: as given, else in the data folder.

    `~` is the home folder. A path that is absolute, or that exists relative to the working
    directory, is returned as given; the InputError for a missing one names all places searched.
    """
    try:
        given = Path(path).expanduser()
        places = [given] if given.is_absolute() else [given, data_folder() / given]
        found = next((place for place in places if place.exists() or shard_of(place)), None)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{path}: cannot be looked up ({error}); check the name and access"
        ) from error
    if found is not None:
        return found
    looked = " and ".join(str(place.absolute()) for place in places)
    raise InputError(
        f"{path}: not found, looked at {looked}; set CAPTIONING_DATA to the folder of your data "
        "sets, see data/README.md for what belongs in it, or ask `captioning doctor`"
    )
