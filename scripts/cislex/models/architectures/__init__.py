"""Networks by name, built from plain numbers: those that ``train_model`` trains, and published ones.

Every one takes one-hot sequences (N, 4, L) float32 in the channel order A C G T.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from torch import nn

from cislex.errors import ConfigError
from cislex.models.architectures.basset import Basset
from cislex.models.architectures.beluga import Beluga
from cislex.models.architectures.deepstarr import DeepSTARR
from cislex.models.architectures.trainable import CNN, CNNLSTM, BPNet

#: Those that ``train_model`` trains: they return logits (N, tasks), no sigmoid.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"cnn": CNN, "cnn_lstm": CNNLSTM, "bpnet": BPNet}
#: Published networks, of which weights in the published layout can be read.
PUBLISHED: dict[str, Callable[..., nn.Module]] = {
    "deepsea_beluga": Beluga,
    "basset": Basset,
    "deepstarr": DeepSTARR,
}


def build(architecture: str, **hyperparameters: int | float | bool) -> nn.Module:
    """Build an untrained model from its name.

    Parameters
    ----------
    architecture
        ``cnn``, ``cnn_lstm``, ``bpnet``; ``deepsea_beluga``, ``basset`` or ``deepstarr``.
    **hyperparameters
        ``tasks`` and ``input_length`` always for those that are trained here; the rest has defaults, see the
        classes.

    Raises
    ------
    ConfigError
        When the name or a hyperparameter does not exist, or a value is out of range.
    """
    networks = {**ARCHITECTURES, **PUBLISHED}
    if architecture not in networks:
        raise ConfigError(f"architecture is {architecture!r}; expected one of {', '.join(networks)}")
    known = inspect.signature(networks[architecture]).parameters
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
    return networks[architecture](**hyperparameters)


def _require_range(architecture: str, name: str, value: int | float | bool) -> None:
    if name in ("profile", "sigmoid", "both_strands"):
        if not isinstance(value, bool):
            raise ConfigError(f"{name} of {architecture} is {value!r}; expected true or false")
        return
    if name == "dropout":
        if not 0 <= value < 1:
            raise ConfigError(f"dropout of {architecture} is {value}; expected 0 ≤ dropout < 1")
    elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name} of {architecture} is {value!r}; expected a whole number of at least 1")
