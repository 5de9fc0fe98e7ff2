"""Borrowing a model: evaluation mode, precision and device for the time of a call, then all as before."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cislex.errors import ConfigError, ModelError

#: Choices of precision and the floating point they compute in.
PRECISIONS = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
}


@dataclass(frozen=True)
class Loan:
    """A model on the device and in the floating point of a call; ``active`` makes it ready."""

    model: nn.Module
    device: torch.device
    dtype: torch.dtype
    precision: str

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Evaluation mode, no gradients for parameters, TF32 as asked, no autocast, no inference mode.

        After, also after an exception: modes, flags and random states as before.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(_modes(self.model))
            stack.enter_context(_flags(tf32=self.precision == "tf32"))
            cuda = self.device.type == "cuda"
            stack.enter_context(torch.random.fork_rng(devices=[self.device] if cuda else []))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.autocast(self.device.type, enabled=False))
            if any(hasattr(module, "_orig_mod") for module in self.model.modules()):
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield


def unwrap(model: Any) -> nn.Module:
    """The plain eager module inside compiled, parallel or exported wrappers.

    A compiled model would bypass the interception of operations.
    """
    if isinstance(model, torch.export.ExportedProgram):
        return model.module()
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.DataParallel):
            inner = model.module
        if inner is None:
            break
        model = inner
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"model: found {type(model).__name__}, expected a torch.nn.Module or torch.export.ExportedProgram"
        )
    return model


def has_script(model: nn.Module) -> str | None:
    """Name of the first TorchScript module inside, whose operations cannot be seen, or None."""
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            return name or "(the model itself)"
    return None


def choose_device(model: nn.Module, device: str | torch.device | None) -> torch.device:
    """The device asked for, by default the model's own."""
    if device is None or device == "auto":
        first = next(iter((*model.parameters(), *model.buffers())), None)
        if device is None:
            return torch.device("cpu") if first is None else first.device
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device: {device!r} was asked for, but torch sees no CUDA device; use device='cpu'"
        )
    return chosen


def lend(model: nn.Module, device: str | torch.device | None, precision: str) -> Loan:
    """The model itself, or a copy where another device or floating point is asked for."""
    if precision not in PRECISIONS:
        raise ConfigError(f"precision: found {precision!r}, expected one of {', '.join(PRECISIONS)}")
    chosen, dtype = choose_device(model, device), PRECISIONS[precision]
    moved = any(
        tensor.device != chosen or (tensor.is_floating_point() and tensor.dtype != dtype)
        for tensor in (*model.parameters(), *model.buffers())
    )
    if moved:
        model = copy.deepcopy(model).to(device=chosen, dtype=dtype)
    return Loan(model, chosen, dtype, precision)


@contextlib.contextmanager
def _modes(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients for parameters, set and restored flag by flag."""
    modules = list(model.modules())
    training = [module.training for module in modules]
    compiled = [module.__dict__.get("_compiled_call_impl") for module in modules]
    parameters = list(model.parameters())
    required = [parameter.requires_grad for parameter in parameters]
    try:
        for module in modules:
            module.training = False
            if module.__dict__.get("_compiled_call_impl") is not None:
                module._compiled_call_impl = None
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, mode, call in zip(modules, training, compiled, strict=True):
            module.training = mode
            if call is not None:
                module._compiled_call_impl = call
        for parameter, flag in zip(parameters, required, strict=True):
            parameter.requires_grad_(flag)


@contextlib.contextmanager
def _flags(*, tf32: bool) -> Iterator[None]:
    """TF32 of matrix products and convolutions, and cudnn's search, which would vary the results."""
    before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    try:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
