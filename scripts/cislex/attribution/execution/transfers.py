"""Move arrays between host and device without making either wait.

On a GPU, inputs leave from pinned memory and results come back into it; both copies are queued behind the
computation, and an event tells when they are there. Pinned memory is scarce, so results are handed out in
ordinary memory, which lets PyTorch use the same pinned buffers again. On the CPU nothing is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Event(Protocol):
    """What tells that everything queued before it has happened."""

    def synchronize(self) -> None:
        """Wait until it has."""


@dataclass(frozen=True)
class PendingResults:
    """Results on their way to the host; ``wait`` returns them."""

    values: Mapping[str, Tensor | None]
    arrived: Event | None

    def wait(self) -> dict[str, Tensor | None]:
        """The results, in ordinary memory."""
        if self.arrived is None:
            return dict(self.values)
        self.arrived.synchronize()
        return {name: None if value is None else value.clone() for name, value in self.values.items()}


class DeviceTransfer:
    """Moves arrays to a device and back."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        #: Whether the device computes while the host goes on.
        self.asynchronous = device.type == "cuda"

    def pin(self, values: Tensor) -> Tensor:
        """Values in memory from which a GPU can fetch them by itself."""
        return values.pin_memory() if self.asynchronous else values

    def buffer(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """Memory into which a GPU can write by itself."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def event(self) -> Event:
        """An event behind everything that is queued now."""
        event = torch.cuda.Event(blocking=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def to_device(self, values: Tensor, dtype: torch.dtype | None) -> Tensor:
        """Values on the device: moved as they are (uint8 is small), then made floating point there."""
        moved = values.to(self.device, non_blocking=True)
        return moved if dtype is None else moved.to(dtype)

    def to_host(self, values: Mapping[str, tuple[Tensor | None, torch.dtype]]) -> PendingResults:
        """Begin to copy results to the host, each in the floating point asked for."""
        ready = {
            name: None if value is None else value.detach().to(dtype)
            for name, (value, dtype) in values.items()
        }
        if not self.asynchronous:
            return PendingResults(ready, None)
        landing: dict[str, Tensor | None] = {}
        for name, value in ready.items():
            landing[name] = None if value is None else self.buffer(value.shape, value.dtype)
            if value is not None:
                landing[name].copy_(value, non_blocking=True)  # type: ignore[union-attr]
        return PendingResults(landing, self.event())
