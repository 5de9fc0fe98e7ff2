"""Architectures: shapes, the sizes that were promised, and errors before anything is built."""

from __future__ import annotations

import pytest
import torch
from cislex.errors import ConfigError
from cislex.models.architectures import ARCHITECTURES, build


def onehot(n: int, length: int, seed: int = 0) -> torch.Tensor:
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.one_hot(codes, 4).transpose(1, 2).float()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("length", [101, 200])
def test_every_architecture_gives_logits(architecture: str, length: int) -> None:
    model = build(architecture, tasks=3, input_length=length).eval()
    rows = onehot(5, length)
    with torch.no_grad():
        logits = model(rows)
        last = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
        last.bias.sub_(1000.0)
        shifted = model(rows)
    assert logits.shape == (5, 3)
    assert torch.isfinite(logits).all()
    assert torch.allclose(shifted, logits - 1000.0, atol=1e-3), "no squashing after the last layer"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_row_does_not_depend_on_its_batch(architecture: str) -> None:
    model = build(architecture, tasks=2, input_length=120).eval()
    rows = onehot(7, 120)
    with torch.no_grad():
        together = model(rows)
        apart = torch.cat([model(row[None]) for row in rows])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_weight_is_reached_by_the_gradient(architecture: str) -> None:
    model = build(architecture, tasks=2, input_length=120)
    model(onehot(8, 120)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_the_default_cnn_has_the_size_of_the_verified_recipe() -> None:
    model = build("cnn", tasks=3, input_length=200)
    assert (
        sum(p.numel() for p in model.parameters())
        == 4 * 48 * 19 + 48 + 48 * 48 * 5 + 48 + 4 * 48 + 48 * 3 + 3
    )


def test_a_cnn_sees_a_motif_wherever_it_stands() -> None:
    model = build("cnn", tasks=1, input_length=200, filters=4, kernel=8, pool=4).eval()
    background = torch.zeros(2, 4, 200)
    motif = onehot(1, 8)[0]
    background[0, :, 40:48] = motif
    background[1, :, 120:128] = motif
    with torch.no_grad():
        first, second = model(background)
    torch.testing.assert_close(first, second)


def test_a_cnn_of_both_strands_is_the_same_for_each() -> None:
    settings = {"tasks": 2, "input_length": 101, "filters": 6, "kernel": 8}
    both = build("cnn", **settings, both_strands=True).eval()
    one = build("cnn", **settings).eval()
    one.load_state_dict(both.state_dict())
    one.head, both.head = torch.nn.Flatten(), torch.nn.Flatten()
    rows = onehot(4, 101)
    turned = rows.flip(1, 2)
    with torch.no_grad():
        strands = one(rows), one(turned)
        assert not torch.allclose(*strands)
        assert torch.equal(both(rows), both(turned))
        assert torch.equal(both(rows), torch.maximum(*strands)), "each feature's maximum over the strands"


def test_bpnet_with_a_profile_returns_both_heads() -> None:
    output = build("bpnet", tasks=2, input_length=150, filters=8, layers=3, profile=True)(onehot(3, 150))
    assert {name: tuple(t.shape) for name, t in output.items()} == {"profile": (3, 2, 150), "counts": (3, 2)}


def test_bpnet_layers_double_their_dilation() -> None:
    model = build("bpnet", tasks=1, input_length=100, filters=4, layers=4)
    dilations = [m.dilation[0] for m in model.modules() if isinstance(m, torch.nn.Conv1d)][1:]
    assert dilations == [2, 4, 8, 16]


@pytest.mark.parametrize(
    ("architecture", "hyperparameters", "message"),
    [
        ("resnet", {}, "expected one of cnn, cnn_lstm, bpnet"),
        ("cnn", {"filter": 3}, "unknown filter"),
        ("cnn", {"dropout": 1.0}, "0 ≤ dropout < 1"),
        ("cnn", {"filters": 0}, "at least 1"),
        ("cnn", {"both_strands": 1}, "expected true or false"),
        ("cnn", {"filters": 2.5}, "whole number"),
        ("cnn", {"input_length": 20}, "too short"),
        ("cnn_lstm", {"input_length": 20}, "too short"),
        ("bpnet", {"kernel": 20}, "odd"),
    ],
)
def test_what_cannot_be_built_is_named(architecture: str, hyperparameters: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(architecture, **{"tasks": 1, "input_length": 200, **hyperparameters})


def test_missing_hyperparameters_are_named() -> None:
    with pytest.raises(ConfigError, match="missing tasks, input_length"):
        build("cnn")
