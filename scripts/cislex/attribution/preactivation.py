"""Attribution of what goes into a module, such as the logits before a final sigmoid."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cislex.errors import ModelError


class PreActivation(nn.Module):
    """A model that returns what goes into one of its modules, such as the logits before a final sigmoid.

    Parameters
    ----------
    model
        Any module; it is called in full, and not changed.
    module
        Name of the submodule, as in ``model.named_modules()``. With several calls the last one counts.
    """

    def __init__(self, model: nn.Module, module: str) -> None:
        super().__init__()
        names = [name for name, _ in model.named_modules() if name]
        if module not in names:
            raise ModelError(
                f"target: no module {module!r} in the model; the last of its modules are {names[-5:]}"
            )
        self.model = model
        self.module = module

    def forward(self, *inputs: Any) -> Tensor:
        """Return the first argument of the chosen module."""
        caught: list[Tensor] = []
        chosen = self.model.get_submodule(self.module)
        handle = chosen.register_forward_pre_hook(lambda _, arguments: caught.append(arguments[0]))
        try:
            self.model(*inputs)
        finally:
            handle.remove()
        if not caught:
            raise ModelError(f"target: module {self.module!r} was not called in the model's forward")
        return caught[-1]
