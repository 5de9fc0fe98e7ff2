"""Loaders: from a weights file to a network on the CPU. One file per loader, named after it.

The config's ``loader: bpnet-lite`` is ``bpnet_lite.py``. Such a file has one frozen dataclass, ``Loader``,
and its fields are the options that the loader takes; a job imports the loader of its model and no other.
``BESIDE`` names files that it reads where they lie beside the weights.
Weights are read with ``weights_only=True``; arbitrary pickles, and programs that could do more than compute,
only with ``trust_pickle``.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

from cislex.errors import ConfigError
from cislex.models.formats import Network


class Loads(Protocol):
    """What every loader has: ``load`` gives the network on the CPU and what its file says about it."""

    def load(self, weights: Path) -> Network:
        """Return the network that the file holds."""
        ...


def loader_names() -> list[str]:
    """Names of the loaders, as the config gives them."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def make_loader(loader: str, **options: Any) -> Loads:
    """Return the loader of that name; options that it does not have are left aside.

    Parameters
    ----------
    loader
        One of ``loader_names()``.
    **options
        Values of the fields of the loaders' dataclasses; None: the default.

    Raises
    ------
    ConfigError
        When there is no such loader, or it needs an option that is not given.
    """
    if loader not in loader_names():
        raise ConfigError(f"loader is {loader!r}; expected one of {', '.join(loader_names())}")
    kind = importlib.import_module(f"cislex.models.loaders.{loader.replace('-', '_')}").Loader
    names = {field.name for field in fields(kind)}
    given = {name: value for name, value in options.items() if name in names and value is not None}
    made: Loads = kind(**given)
    return made
