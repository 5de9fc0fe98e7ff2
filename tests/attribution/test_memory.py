"""Short memory: batches are halved, the numbers stay, the fact is recorded, one pair too many is named."""

from __future__ import annotations

import gc
import logging

import attribution_models as models
import pytest
import torch
from cislex.attribution import (
    DinucleotideShuffle,
    IntegratedGradients,
    attribute,
    attribute_targets,
)
from cislex.attribution.execution.batching import BatchSize, is_out_of_memory
from cislex.errors import ModelError
from torch import Tensor, nn

X = models.one_hot(5, 60)
REFERENCES = DinucleotideShuffle(n=3)
METHODS = {
    **models.methods(REFERENCES, steps=7, window=(20, 26)),
    "integrated_gradients_adaptive": IntegratedGradients(
        steps=4, rule="adaptive", references=REFERENCES, tolerance=1e-2
    ),
}
OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB (simulated)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


class Hungry(nn.Module):
    """Runs out of memory above a number of rows, as a GPU does."""

    def __init__(self, rows: int, error: BaseException = OUT_OF_MEMORY[0]) -> None:
        super().__init__()
        self.inner = models.trap("gate")
        self.rows = rows
        self.error = error
        self.most = 0

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.rows:
            raise self.error
        self.most = max(self.most, len(x))
        return self.inner(x)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("rows", [4, 2])
def test_every_method_goes_on_with_smaller_batches(
    name: str, rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    model, method = Hungry(rows), METHODS[name]
    expected = attribute_targets(model.inner, X, method, [0, 1], precision="float64")
    with caplog.at_level(logging.WARNING):
        found = attribute_targets(model, X, method, [0, 1], precision="float64", batch_size=64)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.hypothetical, theirs.hypothetical)
        torch.testing.assert_close(ours.global_, theirs.global_)
        torch.testing.assert_close(ours.prediction, theirs.prediction)
        assert "halved to" in ours.notes["batch_size"]
    assert "out of memory: batch size halved" in caplog.text


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "cpu", "python"])
def test_one_pair_too_many_is_a_named_error(name: str, error: BaseException) -> None:
    class Full(nn.Module):
        """Takes the two rows of the probe and nothing after them."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = models.trap("gate")
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 1:
                raise error
            return self.inner(x)

    with pytest.raises(ModelError, match=r"out of memory with a single .* pair; what to do: use a device"):
        attribute(Full(), X, METHODS[name])


@pytest.mark.parametrize("name", ["saliency", "deep_lift_shap", "ism"])
def test_both_strands_go_on_too(name: str) -> None:
    model, method = Hungry(2), METHODS[name]
    expected = attribute(model.inner, X, method, reverse_complement=True, precision="float64")
    found = attribute(model, X, method, reverse_complement=True, batch_size=64, precision="float64")
    torch.testing.assert_close(found.hypothetical, expected.hypothetical)


def test_the_size_stays_small_for_the_batches_that_follow() -> None:
    class Counting(Hungry):
        refused = 0

        def forward(self, x: Tensor) -> Tensor:
            if len(x) > self.rows:
                Counting.refused += 1
            return super().forward(x)

    attribute(Counting(4), models.one_hot(40, 60), METHODS["saliency"], batch_size=16)
    assert Counting.refused == 3  # the 5 rows of the trial, then 16 and 8 rows, once each


def test_other_errors_are_not_taken_for_short_memory() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 2:
                raise RuntimeError("shapes do not match")
            return x.sum((1, 2))[:, None]

    with pytest.raises(RuntimeError, match="shapes do not match"):
        attribute(Broken(), X, METHODS["saliency"])
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(ValueError("out of memory of the user"))


class TestSizes:
    """The size of batches on a GPU, from what the first one took, with a GPU's numbers made up."""

    @pytest.fixture
    def size(self, monkeypatch: pytest.MonkeyPatch) -> BatchSize:
        gib = 1 << 30
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: gib)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * gib)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60 * gib, 80 * gib))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 5 * gib)
        return BatchSize(torch.device("cuda"), None, 100)

    def test_follows_from_what_is_free(self, size: BatchSize) -> None:
        first = size.pairs
        size.begin()
        size.end(first)
        assert size.pairs == int(0.7 * (60 + 4) / (2 / first))

    def test_is_measured_once(self, size: BatchSize) -> None:
        size.begin()
        size.end(64)
        chosen = size.pairs
        size.begin()
        size.end(1)
        assert size.pairs == chosen

    def test_a_size_that_was_asked_for_stays(self, size: BatchSize) -> None:
        fixed = BatchSize(size.device, 10, 100)
        fixed.begin()
        fixed.end(10)
        assert fixed.pairs == 10
        assert [fixed.examples(references) for references in (1, 4, 20)] == [10, 2, 1]


@pytest.mark.parametrize(("length", "pairs"), [(50, 160), (200, 160), (500, 100), (2_114, 23), (196_608, 10)])
def test_short_sequences_share_a_batch_on_a_cpu(length: int, pairs: int) -> None:
    assert BatchSize(torch.device("cpu"), None, length).pairs == pairs


@pytest.mark.parametrize("name", [name for name in METHODS if not name.startswith("ism")])
@pytest.mark.parametrize("trap", ["gate", "softmax_attention"])
def test_no_activation_waits_for_the_collector(name: str, trap: str) -> None:
    """What refers to each other is freed late: RevealCancel once held every activation of several batches."""
    model = models.trap(trap).eval()
    attribute(model, X, METHODS[name], allow_incomplete=True)
    gc.collect()
    gc.disable()
    try:
        attribute(model, X, METHODS[name], allow_incomplete=True)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        shapes = [tuple(item.shape) for item in gc.garbage if isinstance(item, Tensor)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert [shape for shape in shapes if shape != tuple(X.shape)] == []
