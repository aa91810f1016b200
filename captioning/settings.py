"""Describe a module by its class and constructor arguments, and rebuild it from a checkpoint."""

import importlib
from typing import Any, Protocol, TypeVar, runtime_checkable

from captioning.errors import InputError

Interface = TypeVar("Interface")


@runtime_checkable
class Described(Protocol):
    """A module that remembers its constructor's arguments, all plain values."""

    settings: dict[str, Any]


def arguments(scope: dict[str, Any]) -> dict[str, Any]:
    """Return a constructor's arguments, given its `locals()` at the very beginning."""
    check_sizes(scope)
    return {name: value for name, value in scope.items() if name not in ("self", "__class__")}


def check_sizes(scope: dict[str, Any]) -> None:
    """Refuse invalid sizes and dropout in the `locals()` of a network's constructor."""
    for name, value in scope.items():
        if name.endswith("_size") and value < 1:
            raise InputError(f"{name} must be 1 or more, got {value}")
        if name == "dropout":
            check_probability(name, value)


def check_probability(name: str, value: float) -> None:
    """Refuse a probability that is negative, or 1 or more."""
    if not 0 <= value < 1:
        raise InputError(f"{name} is a probability, expected 0 <= it < 1, got {value}")


def describe(module: Described) -> dict[str, Any]:
    """Describe a module in plain values, in the form of configuration files."""
    kind = type(module)
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": module.settings}


def rebuild(description: dict[str, Any], interface: type[Interface]) -> Interface:
    """Rebuild a module from its description.

    Only a subclass of `interface` is ever called: a checkpoint is data and must not be able to
    call arbitrary functions.
    """
    path = description["class_path"]
    module_name, _, class_name = path.rpartition(".")
    try:
        kind = vars(importlib.import_module(module_name))[class_name]
    except (ImportError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the checkpoint needs {path}, which this installation does not have"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, interface)):
        raise InputError(f"the checkpoint names {path}, which is no {interface.__name__}")
    try:
        return kind(**description["init_args"])
    except TypeError as error:
        raise InputError(f"the checkpoint's {path} is of another version: {error}") from error
