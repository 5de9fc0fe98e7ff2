"""Networks of other packages: imported when they are loaded, their settings, and the lengths they take.

A snapshot of the Hugging Face hub, or what ``save_pretrained`` writes, is a folder of ``config.json`` and a
weights file. The user names the weights file; ``config.json`` is read where it lies beside it. Nothing is
downloaded.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cislex.errors import ConfigError, ModelError, message_of

#: File of a snapshot that holds the settings of its network.
SETTINGS = "config.json"


@contextmanager
def installed(requirement: str) -> Iterator[None]:
    """Say what to install, such as ``enformer-pytorch==0.8.12``, where the import of a package fails.

    Raises
    ------
    ModelError
        When it, or something that it needs, is not installed or fails.
    """
    try:
        yield
    except Exception as error:
        raise ModelError(
            f"this loader needs a package that cannot be imported ({message_of(error)}): pip install "
            f"{requirement}; see docs/models.md, Enformer, Borzoi and AlphaGenome"
        ) from error


def read_settings(weights: Path) -> dict[str, Any] | None:
    """Settings of the ``config.json`` beside a weights file, None where there is none.

    Raises
    ------
    ModelError
        When the file holds something else.
    """
    path = weights.with_name(SETTINGS)
    if not path.is_file():
        return None
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ModelError(f"{path}: expected the settings of a network, found {type(settings).__name__}")
    return settings


def check_names(given: Mapping[str, Any], taken_by: Callable[..., Any], *also: str) -> None:
    """Refuse hyperparameters that a network does not take, which its own settings would swallow.

    Raises
    ------
    ConfigError
        With the names that it takes.
    """
    parameters = inspect.signature(taken_by).parameters.values()
    known = [one.name for one in parameters if one.kind == one.POSITIONAL_OR_KEYWORD and one.name != "self"]
    if unknown := sorted(set(given) - {*known, *also}):
        raise ConfigError(
            f"hyperparameters: unknown {', '.join(unknown)}; expected some of {', '.join((*known, *also))}"
        )


def check_kind(settings: Mapping[str, Any] | None, kinds: tuple[str, ...], weights: Path) -> str | None:
    """The ``model_type`` that a snapshot gives itself; ModelError where it is none of the loader's."""
    kind: str | None = (settings or {}).get("model_type")
    if kind is not None and kind not in kinds:
        raise ModelError(
            f"{weights.with_name(SETTINGS)}: model_type is {kind!r}; this loader reads "
            f"{' and '.join(kinds)}: name the loader of that network, or the weights of this one"
        )
    return kind


def with_every_name(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Weights under each name that the network has for them; safetensors holds a shared weight once."""
    named = network.state_dict(keep_vars=True)
    kept = {id(named[name]): tensor for name, tensor in state.items() if name in named}
    also = {name: kept[id(own)] for name, own in named.items() if name not in state and id(own) in kept}
    return {**state, **also}


def make(kind: Callable[..., Any], *arguments: Any, source: Path, **settings: Any) -> Any:
    """Build a network, or its settings; what the package raises names the file."""
    try:
        return kind(*arguments, **settings)
    except Exception as error:
        raise ModelError(
            f"{source}: {kind.__name__} cannot be built from its {SETTINGS} and hyperparameters: "
            f"{message_of(error)}"
        ) from error


@dataclass(frozen=True)
class Lengths:
    """Lengths in bp that a network takes: ``least``, ``least + step``, …; ``step`` 0: the one length."""

    least: int
    step: int

    def check(self, sequences: Tensor) -> None:
        """Compare the length of sequences (N, 4, L).

        Raises
        ------
        ModelError
            With the nearest lengths that the network takes.
        """
        length = sequences.shape[-1]
        beyond = length - self.least
        if beyond == 0 or (self.step and beyond > 0 and beyond % self.step == 0):
            return
        near = [self.least]
        if self.step and beyond > 0:
            below = length - beyond % self.step
            near = [below, below + self.step]
        steps = f" or more, in steps of {self.step} bp" if self.step else ""
        raise ModelError(
            f"the model takes {self.least} bp{steps}; the sequences are {length} bp long: set input_length "
            f"to {' or '.join(map(str, near))}"
        )
