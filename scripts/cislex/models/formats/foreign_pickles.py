"""The part of ``pickle`` that ``torch.load`` needs, for modules whose package is not installed.

Classes of such a package are replaced by empty ones of the same name, which then hold the weights.
"""

from __future__ import annotations

import pickle
from pickle import UnpicklingError, load
from typing import Any

from torch import nn

__all__ = ["Unpickler", "UnpicklingError", "load"]

#: Packages whose classes are replaced.
_PACKAGES = ("bpnetlite", "bpnet_lite")
#: Their classes that are no networks.
_PLAIN = ("Logger",)


class Unpickler(pickle.Unpickler):
    """Reads pickles that name classes of packages which are not here."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of that name; of a replaced package an empty one, whose origin is its ``foreign``."""
        if module.split(".")[0] not in _PACKAGES:
            return super().find_class(module, name)
        base = object if name in _PLAIN else nn.Module
        return type(name, (base,), {"foreign": f"{module}.{name}"})
