"""The receptive-field path of ISM gives what whole sequences give, without falling back, on many models."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from cislex.attribution.methods import ISM
from cislex.attribution.mutagenesis import ism
from cislex.attribution.mutagenesis.incremental import columns
from cislex.attribution.mutagenesis.incremental.rules import carry_out
from cislex.attribution.mutagenesis.incremental.sliding import _few_channels
from cislex.attribution.references import Uniform, make_references
from cislex.targets import LogCounts, Output, Profile, Slice, Target
from torch import Tensor, nn

LENGTH = 70


def one_hot(n: int, length: int = LENGTH, seed: int = 0) -> Tensor:
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(seed))
    return nn.functional.one_hot(codes, 4).transpose(1, 2).double()


class Stack(nn.Module):
    """A first convolution, some operation on (B, 6, 70), and a mean over positions."""

    def __init__(self, operation: Callable[[Tensor], Tensor], *modules: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 6, 5, padding=2)
        self.operation = operation
        self.modules_ = nn.ModuleList(modules)
        self.last = nn.LazyLinear(2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.operation(self.first(x))
        for module in self.modules_:
            h = module(h)
        return self.last(h.tanh().mean(2))


class ChannelLast(nn.Module):
    """A block as of ConvNeXt or cherimoya."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(6, 6, 3, padding=4, dilation=4, groups=6)
        self.norm = nn.LayerNorm(6)
        self.up, self.down = nn.Linear(6, 12), nn.Linear(12, 6)

    def forward(self, h: Tensor) -> Tensor:
        inner = self.norm(self.depthwise(h).transpose(1, 2))
        return h + self.down(F.gelu(self.up(inner))).permute(0, 2, 1)


class Scaled(nn.Module):
    """A constant per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(6, 1))

    def forward(self, h: Tensor) -> Tensor:
        return 1 - h * self.scale / 2


class Residual(nn.Module):
    """Sums of windows of different widths, either of which may be the wider one."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv1d(6, 6, 3, padding=6, dilation=6)
        self.narrow = nn.Conv1d(6, 6, 1)
        self.grouped = nn.Conv1d(6, 6, 5, padding=2, groups=2)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, h: Tensor) -> Tensor:
        wide = self.wide(h).relu()
        h = h.relu() + wide
        h = self.narrow(h) - self.wide(h)
        h = self.norm(self.grouped(h)).relu() - h / 3
        return (1 - h[:, :, 4:-2])[:, 1:] + torch.cat([wide[:, :3], h[:, 3:5]], 1)[:, :, 6:]


class Positions(nn.Module):
    """Constants that differ between positions."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.position = nn.Parameter(torch.randn(1, 6, LENGTH)), nn.Parameter(torch.rand(LENGTH))

    def forward(self, h: Tensor) -> Tensor:
        h = torch.relu(input=h) - self.both
        h += self.position
        h = torch.add(input=h.sigmoid() * self.both, other=self.position[None]) / (1 + self.position)
        inner = torch.permute(1 - h, dims=(0, 2, 1)) * self.position[:, None]
        return inner.transpose(1, 2)


def in_place(h: Tensor) -> Tensor:
    before = h * 1
    h += h.sigmoid()
    h.mul_(2)
    F.relu(h, inplace=True)
    return h + before


LOCAL: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: Stack(torch.relu),
    "residual sums": lambda: Stack(torch.relu, Residual()),
    "padded": lambda: Stack(lambda h: F.pad(h, (3, 1))[:, :, 2:].relu(), nn.Conv1d(6, 6, 9, dilation=2)),
    "linear along channels": lambda: Stack(
        lambda h: h.transpose(1, 2), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)
    ),
    "in-place": lambda: Stack(in_place),
    "inplace module": lambda: Stack(lambda h: h, nn.ReLU(inplace=True), nn.ELU(inplace=True)),
    "dilated": lambda: Stack(F.gelu, nn.Conv1d(6, 6, 3, padding=4, dilation=4), nn.SiLU()),
    "strided": lambda: Stack(F.gelu, nn.Conv1d(6, 6, 4, stride=3, padding=1), nn.ELU()),
    "valid": lambda: Stack(F.gelu, nn.Conv1d(6, 6, 4), nn.Conv1d(6, 5, 3, padding="valid")),
    "same": lambda: Stack(F.gelu, nn.Conv1d(6, 6, 4, padding="same"), nn.Conv1d(6, 6, 5, padding="same")),
    "grouped": lambda: Stack(F.gelu, nn.Conv1d(6, 6, 3, groups=3)),
    "few channels": lambda: Stack(F.gelu, nn.Conv1d(6, 1, 15, padding=7), nn.Conv1d(1, 2, 3, dilation=2)),
    "batch norm": lambda: Stack(F.elu, nn.BatchNorm1d(6), nn.Dropout(0.3), nn.PReLU(6)),
    "max pooling": lambda: Stack(F.gelu, nn.MaxPool1d(3), nn.Conv1d(6, 6, 3), nn.MaxPool1d(4, 2, padding=1)),
    "average pooling": lambda: Stack(F.gelu, nn.AvgPool1d(4), nn.Conv1d(6, 6, 3), nn.AvgPool1d(3, 1, 1)),
    "channel last": lambda: Stack(F.gelu, ChannelLast(), ChannelLast()),
    "gates": lambda: Stack(lambda h: h.sigmoid() * h.tanh() + h**2),
    "constants": lambda: Stack(F.gelu, Scaled()),
    "crops": lambda: Stack(lambda h: h[:, :, 5:-7] * h[..., 6:-6]),
    "channels": lambda: Stack(lambda h: h[:, :3] * h[:, 3:].sigmoid()),
    "matrix transpose": lambda: Stack(lambda h: (h.mT * h.swapdims(1, 2).sigmoid()).mH),
    "chunks": lambda: Stack(lambda h: h.chunk(2, 1)[0] * h.split([3, 3], dim=1)[1].sigmoid()),
    "chunks, channel last": lambda: Stack(
        lambda h: torch.cat([g.tanh() for g in reversed(h.mT.tensor_split(4, dim=-1))], -1).mT
    ),
    "cat": lambda: Stack(lambda h: torch.cat([h, F.pad(h[:, :, 2:], (1, 1))], 1)),
    "positions": lambda: Stack(torch.relu, Positions()),
    "functions of channels": lambda: Stack(
        lambda h: F.glu(torch.cat([h.softmax(1), torch.log_softmax(h, dim=1)], 1), 1).transpose(1, 2),
        nn.RMSNorm(6),
    ),
    "summed": lambda: Stack(lambda h: h / (1 + h.mean(2, keepdim=True) ** 2)),
    "adaptive pooling": lambda: Stack(F.gelu, nn.AdaptiveAvgPool1d(1)),
    "softmax": lambda: Stack(lambda h: h * h.softmax(2)),
    "global maximum": lambda: Stack(lambda h: h.amax(2, keepdim=True)),
    "attention": lambda: Stack(lambda h: h @ (h.transpose(1, 2) @ h).softmax(-1)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("copies", ["row by row", "indexed"])
@pytest.mark.parametrize("name", LOCAL)
def test_windows_equal_whole_sequences(name: str, copies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if copies == "indexed":  # as on a GPU
        monkeypatch.setattr(columns, "LOOP", 0)
    torch.manual_seed(1)
    model = LOCAL[name]().double().eval()
    x = one_hot(2)
    model(x)
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.data.uniform_(0.5, 1.5)
    model.requires_grad_(False)
    refs = make_references(Uniform(), x).double()
    result = ism.batch_multipliers(model, x, refs, [Output(0), Output(1)], ISM(), rows=5)
    assert result.notes == {}
    run = ism._Run(model, x, [Output(0), Output(1)], (), model(x), model(x).T)
    where = ism.mutations(x, 0, None)
    expected = torch.zeros_like(result.multipliers)
    expected[:, where[0], where[2], where[1]] = run.effects(*where)
    torch.testing.assert_close(result.multipliers, expected, rtol=1e-7, atol=1e-10)
    assert expected.abs().max() > 1e-6
    if name in ("residual sums", "positions", "matrix transpose", "chunks", "chunks, channel last"):
        tape = columns.Tape(carry_out)
        tape.begin(torch.zeros(3, dtype=torch.long))
        model(columns.substituted(x, torch.tensor([0, 20, 69]), torch.tensor([0, 1, 2]), tape))
        assert not tape.whole - {"linear"}, "windows up to the mean"


class BPNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 8, 9, padding=4)
        self.dilated = nn.ModuleList(nn.Conv1d(8, 8, 3, padding=2**i, dilation=2**i) for i in range(1, 4))
        self.profile, self.counts = nn.Conv1d(8, 1, 11, padding=5), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.first(x).relu()
        for layer in self.dilated:
            h = h + layer(h).relu()
        return self.profile(h)[:, :, 15:-15], self.counts(h[:, :, 10:-10].mean(2))


@pytest.mark.parametrize("target", [LogCounts(), Profile(), Profile("secant"), Slice(3, 9, head=0)])
def test_bpnet_outputs(target: Target) -> None:
    torch.manual_seed(0)
    model, x = BPNet().double().requires_grad_(False), one_hot(3, 120)
    refs = make_references(Uniform(), x).double()
    result = ism.batch_multipliers(model, x, refs, [target], ISM(40, 90), rows=8)
    assert result.notes == {}
    where = ism.mutations(x, 40, 90)
    run = ism._Run(model, x, [target], (), model(x), result.prediction)
    expected = run.effects(*where)
    torch.testing.assert_close(result.multipliers[:, where[0], where[2], where[1]], expected)


def test_what_no_target_uses_is_not_computed() -> None:
    torch.manual_seed(0)
    model, x = BPNet().double().requires_grad_(False), one_hot(1, 120)
    tape = columns.Tape(carry_out)
    tape.begin(torch.zeros(2, dtype=torch.long))
    profile, _ = model(columns.substituted(x, torch.tensor([50, 51]), torch.tensor([0, 1]), tape))
    assert isinstance(profile, columns.MutantColumns)
    assert profile.lazy._value is None


def test_windows_stay_differences_from_the_first_convolution_to_the_mean() -> None:
    torch.manual_seed(0)
    model, x = BPNet().requires_grad_(False), one_hot(2, 120).float()
    tape = columns.Tape(carry_out)
    tape.begin(torch.tensor([0, 1, 1]))
    mutants = columns.substituted(x, torch.tensor([0, 51, 119]), torch.tensor([0, 1, 2]), tape)
    h = model.first(mutants).relu()
    for layer in model.dilated:
        h = h + layer(h).relu()
        assert h.changes is not None
    assert h.lazy._value is None
    expected = model.first(columns.whole(mutants)).relu()
    for layer in model.dilated:
        expected = expected + layer(expected).relu()
    torch.testing.assert_close(h.mean(2), expected.mean(2))
    torch.testing.assert_close(columns.whole(h), expected)


@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_changed_column_is_a_column_of_the_weights(dilation: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv1d(4, 6, 5, dilation=dilation).to(dtype).requires_grad_(False), one_hot(1).to(dtype)
    tape = columns.Tape(carry_out)
    tape.begin(torch.zeros(3, dtype=torch.long))
    # Far from the ends, and at both of them.
    for position in ([30, 31, 40], [0, 35, 69]):
        mutants = columns.substituted(x, torch.tensor(position), torch.tensor([0, 1, 2]), tape)
        tape.begin(torch.zeros(3, dtype=torch.long))
        torch.testing.assert_close(columns.whole(layer(mutants)), layer(columns.whole(mutants)))


def test_what_is_not_a_number_stays_so() -> None:
    x, layer = one_hot(1), nn.Conv1d(4, 1, 3).double().requires_grad_(False)
    tape = columns.Tape(carry_out)
    tape.begin(torch.zeros(2, dtype=torch.long))
    mutants = columns.substituted(x, torch.tensor([20, 30]), torch.tensor([0, 0]), tape)
    layer.weight[0, 0, 1] = torch.nan
    assert columns.whole(layer(mutants).relu()).isnan().any()


def test_extra_inputs_keep_windows_right() -> None:
    class Controlled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv1d(4, 6, 5, padding=2)
            self.second = nn.Conv1d(7, 2, 5)

        def forward(self, x: Tensor, control: Tensor) -> Tensor:
            return self.second(torch.cat([self.first(x).relu(), control], 1)).tanh().mean(2)

    torch.manual_seed(0)
    model, x = Controlled().double().requires_grad_(False), one_hot(3)
    control = torch.randn(3, 1, LENGTH, dtype=torch.float64)
    refs = make_references(Uniform(), x).double()
    result = ism.batch_multipliers(model, x, refs, [Output(1)], ISM(), (control,), rows=6)
    where = ism.mutations(x, 0, None)
    expected = model(ism.mutated(x, *where), control[where[0]])[:, 1] - model(x, control)[where[0], 1]
    assert result.notes == {}
    torch.testing.assert_close(result.multipliers[0, where[0], where[2], where[1]], expected)


class InPlace(nn.Module):
    """Changes in place what another tensor shares its memory with."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.how = nn.Conv1d(4, 6, 5, padding=2), how
        self.second = nn.Conv1d(6, 6, 3)
        nn.init.constant_(self.first.bias, 0.9)  # so that only few mutants tell

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        if self.how == "a crop":
            F.relu(h[:, :, 5:-5], inplace=True)
        elif self.how == "channels":
            h[:, :3].relu_()
        elif self.how == "a transposed":
            h.transpose(1, 2).relu_()
        elif self.how == "a view of ordinary memory":
            y = h.flatten(1).relu_().view(h.shape)
            return y.mean(2) + h.mean(2)
        elif self.how == "what was viewed":
            view = h.flatten(1)
            h.relu_()
            return view.reshape(len(view), 6, -1).mean(2)
        elif self.how == "dropout":
            F.relu(F.dropout(h, 0.1, training=False), inplace=True)
        elif self.how == "a contiguous":
            h.contiguous().relu_()
        elif self.how == "a crop that alone is used":
            h = h[:, :, 5:-5]
            h.relu_()
        elif self.how == "columns added to a whole":
            y = torch.cumsum(h, 2)
            y += h.relu()
            y.mul_(h)
            return y.tanh().mean(2)
        elif self.how == "a whole added to columns":
            h += torch.cumsum(h, 2)
            return self.second(h.relu()).tanh().mean(2)
        elif self.how == "columns written into a whole":
            y = h.new_zeros(h.shape)
            y[:, :, 3:] = h[:, :, :-3]
            return y.tanh().mean(2)
        return h.mean(2)


@pytest.mark.parametrize(
    "how",
    ["a crop", "channels", "a transposed", "a view of ordinary memory", "what was viewed", "dropout",
     "a contiguous", "a crop that alone is used", "columns added to a whole", "a whole added to columns",
     "columns written into a whole"],
)  # fmt: skip
def test_memory_that_several_tensors_share(how: str) -> None:
    torch.manual_seed(0)
    model, x = InPlace(how).double().requires_grad_(False), one_hot(4)
    refs = make_references(Uniform(), x).double()
    result = ism.batch_multipliers(model, x, refs, [Output(0)], ISM(), rows=50)
    where = ism.mutations(x, 0, None)
    expected = model(ism.mutated(x, *where))[:, 0] - model(x)[where[0], 0]
    torch.testing.assert_close(result.multipliers[0, where[0], where[2], where[1]], expected)
    if how in ("dropout", "a contiguous", "a crop that alone is used") or "whole" in how:
        assert result.notes == {}
    else:
        assert "in place" in result.notes["ism"]


@pytest.mark.parametrize("slow", ["windows", "whole sequences"])
def test_windows_that_take_longer_are_given_up(slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(nn.Module):
        """Takes its time, on windows or on whole sequences."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv1d(4, 6, 5, padding=2)

        def forward(self, x: Tensor) -> Tensor:
            if (type(x) is Tensor) == (slow == "whole sequences"):
                time.sleep(0.002 * len(x))
            return self.first(x).relu().mean(2)

    monkeypatch.setattr(ism, "MOMENT", 0.1 if slow == "windows" else 0.0)
    torch.manual_seed(0)
    model, x = Slow().double().requires_grad_(False), one_hot(2)
    result = ism.batch_multipliers(model, x, make_references(Uniform(), x).double(), [Output(0)], ISM())
    where = ism.mutations(x, 0, None)
    expected = model(ism.mutated(x, *where))[:, 0] - model(x)[where[0], 0]
    torch.testing.assert_close(result.multipliers[0, where[0], where[2], where[1]], expected)
    if slow == "windows":
        assert "times as long" in result.notes["ism"]
    else:
        assert result.notes == {}


def test_a_disagreement_falls_back_loudly(caplog: pytest.LogCaptureFixture) -> None:
    class Suspicious(nn.Module):
        """Behaves in another way on windows."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv1d(4, 6, 5, padding=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.first(x).mean(2) * (1 if type(x) is Tensor else 1.5)

    torch.manual_seed(0)
    model, x = Suspicious().double().requires_grad_(False), one_hot(2)
    refs = make_references(Uniform(), x).double()
    result = ism.batch_multipliers(model, x, refs, [Output(0)], ISM(), rows=50)
    where = ism.mutations(x, 0, None)
    expected = model(ism.mutated(x, *where))[:, 0] - model(x)[where[0], 0]
    torch.testing.assert_close(result.multipliers[0, where[0], where[2], where[1]], expected)
    assert "whole sequences: windows differ" in result.notes["ism"]


class NoisyOr(nn.Module):
    """The probability that a motif is bound anywhere near, whose logarithm is infinite at a perfect match."""

    def __init__(self) -> None:
        super().__init__()
        self.motif = nn.Conv1d(4, 1, 6, bias=False)
        with torch.no_grad():
            self.motif.weight.copy_(F.one_hot(torch.tensor([3, 2, 0, 1, 3, 1]), 4).T * 40.0)
        self.near = nn.Conv1d(1, 1, 20, bias=False)
        nn.init.ones_(self.near.weight)

    def forward(self, x: Tensor) -> Tensor:
        free = torch.log1p(-torch.sigmoid(self.motif(x) - 220))
        return 1 - torch.exp(self.near(free)).mean(2)


def test_infinite_activations_have_no_difference() -> None:
    x = one_hot(1, 90).float()
    x[0, :, 40:46] = F.one_hot(torch.tensor([3, 2, 0, 1, 3, 1]), 4).T
    model = NoisyOr().requires_grad_(False)
    refs = make_references(Uniform(), x)
    result = ism.batch_multipliers(model, x, refs, [Output(0)], ISM(), rows=50)
    where = ism.mutations(x, 0, None)
    expected = model(ism.mutated(x, *where))[:, 0] - model(x)[where[0], 0]
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(result.multipliers[0, where[0], where[2], where[1]], expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_gets_whole_sequences() -> None:
    torch.manual_seed(0)
    plain, x = BPNet().double().requires_grad_(False), one_hot(1, 60)
    scripted = torch.jit.trace(plain, x)
    refs = make_references(Uniform(), x).double()
    found = ism.batch_multipliers(scripted, x, refs, [LogCounts()], ISM(), rows=50)
    expected = ism.batch_multipliers(plain, x, refs, [LogCounts()], ISM(), rows=50)
    torch.testing.assert_close(found.multipliers, expected.multipliers)


@pytest.mark.parametrize("dilation", [1, 3])
def test_a_convolution_to_few_channels_as_a_matrix_product(dilation: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv1d(5, 2, 7, dilation=dilation).double()
    x = torch.randn(3, 5, 40, dtype=torch.float64)
    found = _few_channels(x, layer.weight, layer.bias, dilation)
    torch.testing.assert_close(found, layer(x))
