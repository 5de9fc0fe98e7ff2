"""Loader ``factory``: the model's Python code and a state dict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from cislex.errors import ConfigError, ModelError, message_of
from cislex.models.formats import Network
from cislex.models.weights import (
    find_state,
    function_of,
    import_file,
    importable,
    load_state,
    read_checkpoint,
    split_module,
)


@dataclass(frozen=True)
class Loader:
    """A Python function without arguments that builds the model, and a state dict for it.

    Parameters
    ----------
    module
        ``path/to/model.py:build``.
    """

    module: str = ""

    def __post_init__(self) -> None:
        if not self.module:
            raise ConfigError("loader: factory needs module: path/to/model.py:function")

    def load(self, weights: Path) -> Network:
        """Call the factory and load the weights into what it returns."""
        state = find_state(read_checkpoint(weights), weights)
        path, name = split_module(self.module)
        with importable(path):
            factory = function_of(import_file(path), name, path)
            try:
                model = factory()
            except (Exception, SystemExit) as error:
                raise ModelError(f"{self.module}() raised {message_of(error)}") from error
        if not isinstance(model, nn.Module):
            raise ModelError(f"{self.module}() returned {type(model).__name__}; expected a torch.nn.Module")
        load_state(model, state, source=weights)
        return Network(model)
