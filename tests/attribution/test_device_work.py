"""What a batch asks of a device: operations beside those of a plain gradient, and no waiting for a number.

Counted on a processor with its compiled loops switched off, so that the operations are those of a GPU. The
first batches, which check the model, do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import attribution_models as models
import pytest
import torch
from cislex.attribution import (
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    IntegratedGradients,
    Saliency,
    attribute_batches,
    kernels,
    pipeline,
)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Operations that launch nothing: they look at memory in another way, or only ask for it.
FREE = {
    "detach", "alias", "view", "select", "slice", "expand", "permute", "unsqueeze", "squeeze", "t",
    "transpose",
    "empty", "lift_fresh", "as_strided", "unfold", "unbind", "split", "_unsafe_view", "promote_types",
}  # fmt: skip
#: Operations whose result the host waits for.
WAITING = {"_local_scalar_dense", "nonzero", "equal", "masked_select", "is_nonzero"}
LENGTH, PAIRS, REFERENCES = 100, 8, 4


class Operations(TorchDispatchMode):
    """Counts operations by their name, and the bytes that they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.moved: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.counts[name] += 1
        made = func(*args, **(kwargs or {}))
        if name not in FREE:
            ends = [end for end in tree_leaves((args, kwargs, made)) if isinstance(end, Tensor)]
            self.moved[name] += sum(end.numel() * end.element_size() for end in ends)
        return made

    @property
    def launched(self) -> int:
        return sum(count for name, count in self.counts.items() if name not in FREE)

    @property
    def waiting(self) -> dict[str, int]:
        return {name: count for name, count in self.counts.items() if name in WAITING}


class BPNet(nn.Module):
    """Residual dilated convolutions and a count."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 8, 21, padding=10)
        self.layers = nn.ModuleList(nn.Conv1d(8, 8, 3, padding=2**i, dilation=2**i) for i in range(1, 5))
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        for layer in self.layers:
            h = h + torch.relu(layer(h))
        return self.head(h.mean(-1))


def basset() -> nn.Module:
    """Convolutions with batch norm and max-pooling, and two dense layers."""
    blocks: list[nn.Module] = []
    for channels in (4, 8):
        blocks += [nn.Conv1d(channels, 8, 7, padding=3), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(4)]
    dense = [nn.Flatten(), nn.Linear(8 * (LENGTH // 16), 16), nn.ReLU(), nn.Linear(16, 1)]
    return nn.Sequential(*blocks, *dense)


class Attention(nn.Module):
    """Explicit attention of positions to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 24, 7, padding=3)
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.stem(x).relu().transpose(1, 2).chunk(3, 2)
        return self.head((torch.softmax(q @ k.mT, -1) @ v).mean(1))


MODELS: dict[str, Any] = {"bpnet": BPNet, "basset": basset, "attention": Attention}


@pytest.fixture(autouse=True)
def device_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the operations of a GPU, without the test for finite results, which looks at the host's copy."""
    monkeypatch.setattr(kernels, "on_host", lambda tensor: False)
    monkeypatch.setattr(pipeline, "check_finite", lambda *args, **options: None)


def later_batch(batches: Iterator[Any]) -> Operations:
    """Operations of the fourth batch."""
    for _ in range(3):
        next(batches)
    with Operations() as found:
        next(batches)
    return found


def plain(model: nn.Module) -> Operations:
    """Operations of a forward and the gradient of the input."""
    x = torch.rand(PAIRS, 4, LENGTH, requires_grad=True)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with Operations() as found:
        torch.autograd.grad(model(x).sum(), x)
    return found


def operations(name: str, method: Any, targets: int = 1) -> tuple[Operations, Operations]:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    batches = attribute_batches(
        model, models.one_hot(5 * PAIRS, LENGTH), method, [0] * targets, batch_size=PAIRS
    )
    return later_batch(batches), plain(model)


@pytest.mark.parametrize("name", ["bpnet", "basset"])
@pytest.mark.parametrize(
    "method",
    [DeepLiftShap(DinucleotideShuffle(n=REFERENCES)), Saliency(), TISM(), IntegratedGradients(steps=4)],
    ids=lambda method: type(method).__name__,
)
def test_the_host_never_waits_for_a_number_of_the_device(name: str, method: Any) -> None:
    found, _ = operations(name, method)
    assert found.launched > 10
    assert not found.waiting


@pytest.mark.parametrize(("name", "most"), [("bpnet", 4.0), ("basset", 8.5)])
def test_deeplift_launches_a_bounded_multiple_of_a_plain_gradient(name: str, most: float) -> None:
    found, gradient = operations(name, DeepLiftShap(DinucleotideShuffle(n=REFERENCES)))
    assert found.launched <= most * gradient.launched, (found.launched, gradient.launched, found.counts)


def test_the_path_rule_asks_the_device_once_how_much_is_left() -> None:
    found, _ = operations("attention", DeepLiftShap(DinucleotideShuffle(n=REFERENCES)))
    assert found.waiting == {"_local_scalar_dense": 1}


@pytest.mark.parametrize(("name", "most"), [("bpnet", 2.3), ("basset", 4.6), ("attention", 5.8)])
def test_deeplift_moves_a_bounded_multiple_of_the_bytes_of_a_plain_gradient(name: str, most: float) -> None:
    """What is elementwise takes as long as its bytes take to come and go."""
    found, gradient = operations(name, DeepLiftShap(DinucleotideShuffle(n=REFERENCES)))
    ratio = found.moved.total() / gradient.moved.total()
    assert ratio <= most, (ratio, found.moved, gradient.moved)


class ManyTracks(BPNet):
    """The same with twelve outputs of eight inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 12)


@pytest.mark.parametrize("method", [DeepLiftShap(DinucleotideShuffle(n=REFERENCES)), TISM()], ids=str)
def test_many_targets_ask_the_device_once_a_batch(method: Any) -> None:
    """Where all targets go through a narrow activation; its entries are read as lists (two copies)."""
    torch.manual_seed(0)
    x = models.one_hot(5 * PAIRS, LENGTH)
    batches = attribute_batches(ManyTracks().eval(), x, method, list(range(12)), batch_size=PAIRS)
    found = later_batch(batches)
    assert found.launched > 100
    assert found.waiting == {"_local_scalar_dense": 1}
