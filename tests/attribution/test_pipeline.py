"""The pipeline: results wait for their event, references come ahead, order and numbers stay."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import attribution_models as models
import pytest
import torch
from cislex.attribution import (
    DeepLiftShap,
    DinucleotideShuffle,
    Saliency,
    api,
    attribute,
    attribute_batches,
    attribute_targets,
)
from cislex.attribution.execution import transfers
from cislex.errors import ModelError
from torch import Tensor, nn

X = models.one_hot(13, 60)
METHOD = DeepLiftShap(DinucleotideShuffle(n=3))


class _Late:
    """An event before which nothing has arrived: buffers hold NaN until it is waited for."""

    def __init__(self, copies: list[tuple[Tensor, Tensor]]) -> None:
        self.copies = copies

    def synchronize(self) -> None:
        for buffer, values in self.copies:
            buffer.as_subclass(Tensor).copy_(values)


class _Buffer(Tensor):
    """Memory that only its event fills."""

    def copy_(self, values: Tensor, non_blocking: bool = False) -> Tensor:  # type: ignore[override]
        assert non_blocking
        SlowTransfer.queued.append((self, values))
        return self


class SlowTransfer(transfers.DeviceTransfer):
    """A GPU played by the CPU: everything that a real one does, but at its own time."""

    queued: ClassVar[list[tuple[Tensor, Tensor]]] = []
    given: ClassVar[list[Tensor]] = []
    pinned = 0

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.asynchronous = True

    def pin(self, values: Tensor) -> Tensor:
        SlowTransfer.pinned += 1
        return values.clone()

    def buffer(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        buffer = torch.full(shape, float("nan"), dtype=dtype).as_subclass(_Buffer)
        SlowTransfer.given.append(buffer)
        return buffer

    def event(self) -> transfers.Event:
        copies, SlowTransfer.queued = SlowTransfer.queued, []
        return _Late(copies)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> type[SlowTransfer]:
    monkeypatch.setattr(api, "DeviceTransfer", SlowTransfer)
    SlowTransfer.queued, SlowTransfer.given, SlowTransfer.pinned = [], [], 0
    return SlowTransfer


@pytest.mark.parametrize("method", [METHOD, Saliency()])
@pytest.mark.parametrize("batch_size", [3, 9, 1000])
def test_results_are_read_only_after_they_arrived(
    slow: type[SlowTransfer], method: Any, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.trap("gate")
    found = attribute_targets(model, X, method, [0, 1], batch_size=batch_size)
    assert slow.pinned > 0
    monkeypatch.setattr(api, "DeviceTransfer", transfers.DeviceTransfer)
    expected = attribute_targets(model, X, method, [0, 1], batch_size=batch_size)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.hypothetical, theirs.hypothetical)
        assert torch.equal(ours.global_, theirs.global_)
        assert torch.equal(ours.prediction, theirs.prediction)
        assert ours.notes == theirs.notes


def test_results_come_one_batch_late_and_in_order(slow: type[SlowTransfer]) -> None:
    class Counting(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            Counting.calls += 1
            return x[:, 0].sum(1, keepdim=True) ** 2

    stop = 0
    computed = []
    for rows, results in attribute_batches(Counting(), X, Saliency(), [0], batch_size=4):
        assert rows.start == stop
        stop = rows.stop
        computed.append(Counting.calls)
        pinned = {buffer.data_ptr() for buffer in slow.given}
        assert results[0].multipliers.data_ptr() not in pinned  # handed out in ordinary memory
    assert stop == len(X)
    # When the first batch is handed out the second has been computed.
    assert [Counting.calls - calls for calls in computed] == [2, 1, 0, 0]


def test_on_the_cpu_nothing_is_held_back() -> None:
    class Counting(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            Counting.calls += 1
            return x[:, 0].sum(1, keepdim=True) ** 2

    batches = attribute_batches(Counting(), X, Saliency(), [0], batch_size=4)
    calls = [Counting.calls for _ in batches]
    assert [call - calls[0] for call in calls] == [0, 1, 2, 3]


def test_several_threads_make_references_and_the_numbers_stay(slow: type[SlowTransfer]) -> None:
    model = models.trap("module_relu")
    seeds = list(range(100, 113))
    parallel = attribute(model, X, METHOD, batch_size=3, seeds=seeds)
    order = torch.randperm(13, generator=torch.Generator().manual_seed(0))
    shuffled = attribute(model, X[order], METHOD, batch_size=6, seeds=[seeds[i] for i in order])
    torch.testing.assert_close(shuffled.hypothetical, parallel.hypothetical[order])


def test_functions_of_the_user_are_called_one_after_another(slow: type[SlowTransfer]) -> None:
    seen: list[tuple[int, str]] = []

    def zeros(x: Tensor) -> Tensor:
        seen.append((len(x), threading.current_thread().name))
        return torch.zeros(len(x), 2, 4, x.shape[2])

    zeros.n = 2  # type: ignore[attr-defined]
    attribute(models.trap("module_relu"), X, DeepLiftShap(zeros), batch_size=4)
    assert len({name for _, name in seen[1:]}) == 1


def test_nothing_is_left_running_when_a_consumer_stops_early(slow: type[SlowTransfer]) -> None:
    before = threading.active_count()
    batches = attribute_batches(models.trap("module_relu"), X, METHOD, [0], batch_size=3)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_values_that_are_not_finite_are_found_with_their_rows(slow: type[SlowTransfer]) -> None:
    x = X.clone()
    x[:, :, 0] = torch.tensor([1, 0, 0, 0], dtype=torch.uint8)
    x[11, :, 0] = torch.tensor([0, 0, 0, 1], dtype=torch.uint8)

    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x.sum((1, 2)) / (1 - x[:, 3, 0])).unsqueeze(1)

    with pytest.raises(ModelError, match=r"the model returns inf for examples 11; .*check the weights"):
        attribute(Broken(), x, Saliency(), batch_size=4)


def test_gradients_that_are_not_finite_are_an_error() -> None:
    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sqrt(x[:, 0] * 0 + 0).sum(1, keepdim=True) + x.sum((1, 2))[:, None]

    with pytest.raises(ModelError, match="without a finite derivative"):
        attribute(Root(), X, Saliency())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", [METHOD, Saliency()])
def test_a_gpu_gives_the_numbers_of_the_cpu(method: Any) -> None:
    model = models.trap("residual_dilated")
    here = attribute(model, X, method)
    there = attribute(model, X, method, device="cuda")
    scale = here.hypothetical.abs().max()
    assert (here.hypothetical - there.hypothetical).abs().max() <= 1e-4 * scale
    assert not there.hypothetical.is_pinned()
    assert next(model.parameters()).device.type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_not_waited_for_within_a_batch() -> None:
    model = models.trap("residual_dilated").cuda()
    x = models.one_hot(64, 60)
    batches = attribute_batches(model, x, METHOD, [0], batch_size=48)
    next(batches)  # the self-check and the choice of sizes look at values
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in batches:
            pass
    finally:
        torch.cuda.set_sync_debug_mode("default")
