"""Prepare a model for one call (evaluation mode, precision, device), then restore it."""

from __future__ import annotations

import contextlib
import copy
import itertools
import operator
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cislex.errors import ConfigError, ModelError
from cislex.logs import get_logger
from cislex.models.fixed_batch import FixedBatch, fixed_rows
from cislex.runtime.devices import resolve_device

#: Choices of precision and the floating point they compute in.
PRECISIONS = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
}


#: Rounding shrinks by far more than this from float32 to float64.
_ROUNDING_SHRINKS = 1e-3


@dataclass(frozen=True)
class PreparedModel:
    """A model on the device and in the floating point of a call; ``active`` makes it ready."""

    model: nn.Module
    device: torch.device
    dtype: torch.dtype
    precision: str

    def takes(self, item: Tensor) -> Tensor:
        """A further input as the model takes it: on its device, and in its floating point."""
        return item.to(self.device, self.dtype if item.is_floating_point() else item.dtype)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Evaluation mode, no gradients for parameters, TF32 as asked, no autocast, no inference mode.

        After, also after an exception: modes, flags and random states as before.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(_modes(self.model))
            stack.enter_context(_buffers(self.model))
            stack.enter_context(_flags(tf32=self.precision == "tf32"))
            cuda = self.device.type == "cuda"
            stack.enter_context(torch.random.fork_rng(devices=[self.device] if cuda else []))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.autocast(self.device.type, enabled=False))
            if "torch._dynamo" in sys.modules:  # something may be compiled, where operations cannot be seen
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield


def unwrap(model: Any) -> nn.Module:
    """The plain eager module inside compiled, parallel or exported wrappers.

    A compiled model would bypass the interception of operations. A program that was exported for one batch
    size is called as often as it takes.
    """
    if isinstance(model, torch.export.ExportedProgram):
        model = model.module()
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
    rows = fixed_rows(model)
    if rows is None:
        return model
    get_logger(__name__).warning(
        "the program was exported for batches of exactly %d: it is called in a loop, and examples are "
        "repeated for each reference; export it with dynamic_shapes to make it faster",
        rows,
    )
    return FixedBatch(model, rows)


def has_script(model: nn.Module) -> str | None:
    """Name of the first TorchScript module inside, whose operations cannot be seen, or None."""
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            return name or "(the model itself)"
    return None


def choose_device(model: nn.Module, device: str | torch.device | None) -> torch.device:
    """The requested device, by default the model's own."""
    if device is not None:
        return resolve_device(device)
    first = next(iter((*model.parameters(), *model.buffers())), None)
    return torch.device("cpu") if first is None else first.device


def choose_precision(model: nn.Module, precision: str | None) -> str:
    """The requested precision; by default float64 for a model of float64, and float32 for any other.

    Half precisions lose what attributions consist of, small differences of large numbers, so a model in one
    is computed in float32 unless it is asked for. What a model is in, its parameters say, else its buffers.
    """
    if precision is None:
        own = {tensor.dtype for tensor in model.parameters()} or {tensor.dtype for tensor in model.buffers()}
        return "float64" if own & {torch.float64, torch.complex128} else "float32"
    if precision not in PRECISIONS:
        raise ConfigError(f"precision: found {precision!r}, expected one of {', '.join(PRECISIONS)}")
    return precision


def prepare_model(
    model: nn.Module, device: str | torch.device | None, precision: str | None = None
) -> PreparedModel:
    """The model itself, or a copy where another device or floating point is requested."""
    precision = choose_precision(model, precision)
    chosen, dtype = choose_device(model, device), PRECISIONS[precision]

    def converted(tensor: Tensor) -> Tensor:
        """On the device and in the floating point asked for; the complex numbers of a model stay complex."""
        wanted = dtype if tensor.is_floating_point() else tensor.dtype
        if tensor.is_complex():
            wanted = torch.complex128 if dtype == torch.float64 else torch.complex64
        moved = tensor.to(chosen, wanted)
        return moved.clone() if moved.is_inference() else moved  # those cannot be differentiated

    with torch.inference_mode(False):
        if any(converted(tensor) is not tensor for tensor in (*model.parameters(), *model.buffers())):
            with warnings.catch_warnings():  # copying an exported program, torch warns about itself
                warnings.simplefilter("ignore", FutureWarning)
                model = copy.deepcopy(model)._apply(converted)
    return PreparedModel(model, chosen, dtype, precision)


def in_other_precision(model: nn.Module, x: Tensor) -> PreparedModel | None:
    """A model that ran x, in float64, or in float32 where x is that; None where that cannot be made."""
    try:
        return prepare_model(model, x.device, "float32" if x.dtype == torch.float64 else "float64")
    except (RuntimeError, MemoryError, TypeError):  # no memory, or a model that cannot be copied
        return None


def is_more_than_rounding(difference: Tensor, again: Tensor, dtype: torch.dtype) -> Tensor:
    """Whether a difference met in ``dtype`` keeps its size in the other floating point: rounding does not."""
    exact, rough = (difference, again) if dtype == torch.float64 else (again, difference)
    return exact > _ROUNDING_SHRINKS * rough


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
def _buffers(model: nn.Module) -> Iterator[None]:
    """Buffers as before afterwards, whether a forward wrote into them or put others in their place."""
    kept = [(module, dict(module._buffers.items())) for module in model.modules()]
    written = [
        (tensor, _version(tensor), tensor.detach().clone())
        for _, buffers in kept
        for tensor in buffers.values()
        if tensor is not None
    ]
    try:
        yield
    finally:
        for module, buffers in kept:
            if isinstance(module._buffers, dict):  # those of TorchScript cannot be replaced
                module._buffers.clear()
                module._buffers.update(buffers)
        for tensor, version, content in written:
            if _version(tensor) != version:
                with torch.inference_mode(tensor.is_inference()), torch.no_grad():
                    tensor.copy_(content)


def _version(tensor: Tensor) -> int:
    """How often a tensor was written into; inference tensors do not count, so they always differ."""
    return next(_WRITTEN) if tensor.is_inference() else tensor._version


#: Numbers that no version equals.
_WRITTEN = itertools.count(-1, -1)


#: What chooses between full and reduced float32 in each library; ``ieee`` is full.
_CHOOSERS: tuple[Any, ...] = tuple(
    operator.attrgetter(name)(torch.backends)
    for name in ("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
)


@contextlib.contextmanager
def _flags(*, tf32: bool) -> Iterator[None]:
    """TF32 of matrix products and convolutions as asked; on a CPU always full float32.

    PyTorch has three ways to say so, and raises where they contradict each other. All are set alike, and
    afterwards they are as before.
    """
    before = [chooser.fp32_precision for chooser in _CHOOSERS]
    matmul = _read(torch.get_float32_matmul_precision) or "highest"
    convolutions = _read(lambda: torch.backends.cudnn.allow_tf32)
    try:
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = tf32
        for i, chooser in enumerate(_CHOOSERS):
            chooser.fp32_precision = "tf32" if tf32 and i < 3 else "ieee"
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        if convolutions is not None:
            torch.backends.cudnn.allow_tf32 = convolutions
        for chooser, value in zip(_CHOOSERS, before, strict=True):
            chooser.fp32_precision = value


def _read(old_way: Callable[[], Any]) -> Any:
    """A setting, or None where the user has mixed the ways, so that torch refuses to say."""
    try:
        return old_way()
    except RuntimeError:
        return None


#: Full float32 this many times slower than TF32 is worth a word, and computations of this many rows worth
#: the four forwards that it takes to find out.
TF32_RATIO, TF32_PAIRS, TF32_ROWS = 5.0, 20_000, 64


def tf32_notice(
    prepared: PreparedModel,
    x: Tensor,
    extra: Sequence[Tensor],
    *,
    pairs: int,
    timer: Callable[..., float] | None = None,
) -> str | None:
    """Measure what full float32 costs on this GPU; a sentence where that is more than five times TF32.

    Parameters
    ----------
    prepared
        The model; nothing is measured on a CPU, or for another precision than ``float32``.
    x, extra
        (n, 4, L) sequences and further inputs, on the host.
    pairs
        Rows that the whole computation will send through the model.
    timer
        ``timer(function) -> seconds``; by default CUDA events, which need a GPU.
    """
    if (
        prepared.precision != "float32"
        or pairs < TF32_PAIRS
        or (timer is None and not _has_tf32(prepared.device))
    ):
        return None
    clock = _event_timer if timer is None else timer
    rows = torch.arange(TF32_ROWS) % len(x)
    inputs = [
        item[rows].to(prepared.device, prepared.dtype if i == 0 or item.is_floating_point() else item.dtype)
        for i, item in enumerate((x, *extra))
    ]
    seconds = {}
    for precision in ("float32", "tf32"):
        with (
            PreparedModel(prepared.model, prepared.device, prepared.dtype, precision).active(),
            torch.no_grad(),
        ):
            prepared.model(*inputs)
            seconds[precision] = clock(lambda: prepared.model(*inputs))
    ratio = seconds["float32"] / max(seconds["tf32"], 1e-9)
    if ratio <= TF32_RATIO:
        return None
    return (
        f"full float32 takes {ratio:.1f} times as long as TF32 on this device; precision='tf32' is faster, "
        "with relative deltas of about 1e-3 instead of 1e-6"
    )


def _has_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def _event_timer(function: Callable[[], Any]) -> float:
    """Seconds on the device."""
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    function()
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop) / 1000
