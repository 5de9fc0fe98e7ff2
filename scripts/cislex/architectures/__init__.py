"""Networks by name: those that ``train_model`` trains, built from a name and plain numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from torch import nn

from cislex.architectures.trainable import CNN, CNNLSTM, BPNet
from cislex.errors import ConfigError

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"cnn": CNN, "cnn_lstm": CNNLSTM, "bpnet": BPNet}


def build(architecture: str, **hyperparameters: int | float | bool) -> nn.Module:
    """Build an untrained model from its name.

    Parameters
    ----------
    architecture
        ``cnn``, ``cnn_lstm`` or ``bpnet``.
    **hyperparameters
        ``tasks`` and ``input_length`` always; the rest has defaults, see the classes of this module.

    Raises
    ------
    ConfigError
        When the name or a hyperparameter does not exist, or a value is out of range.
    """
    if architecture not in ARCHITECTURES:
        raise ConfigError(f"architecture is {architecture!r}; expected one of {', '.join(ARCHITECTURES)}")
    known = inspect.signature(ARCHITECTURES[architecture]).parameters
    unknown = sorted(set(hyperparameters) - set(known))
    missing = [
        name
        for name, p in known.items()
        if p.default is inspect.Parameter.empty and name not in hyperparameters
    ]
    if unknown or missing:
        raise ConfigError(
            f"hyperparameters of {architecture}: unknown {', '.join(unknown) or 'none'}, missing "
            f"{', '.join(missing) or 'none'}; it takes {', '.join(known)}"
        )
    for name, value in hyperparameters.items():
        _require_range(architecture, name, value)
    return ARCHITECTURES[architecture](**hyperparameters)


def _require_range(architecture: str, name: str, value: int | float | bool) -> None:
    if name == "profile":
        return
    if name == "dropout":
        if not 0 <= value < 1:
            raise ConfigError(f"dropout of {architecture} is {value}; expected 0 ≤ dropout < 1")
    elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name} of {architecture} is {value!r}; expected a whole number of at least 1")
