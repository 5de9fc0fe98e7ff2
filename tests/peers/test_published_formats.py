"""Equality with the packages that define the published formats, on random models in files that they wrote.

The packages live in environments of their own. CISLEX_PEERS_PYTHON names the Python of one with bpnet-lite,
cherimoya and Keras 3 (with PyTorch); CISLEX_KERAS2_PYTHON that of one with TensorFlow 2.15 or older:

    python3.11 -m venv peers && peers/bin/pip install bpnet-lite cherimoya keras
    python3.11 -m venv keras2 && keras2/bin/pip install tensorflow-cpu==2.15.1 h5py
    CISLEX_PEERS_PYTHON=peers/bin/python CISLEX_KERAS2_PYTHON=keras2/bin/python pytest -rP tests/peers
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from cislex.models.loading import load_model
from numpy.typing import NDArray

MAKER = Path(__file__).with_name("make_peer_models.py")
#: Largest difference allowed, relative to the largest value of the output: rounding of float32.
TOLERANCE = 1e-5
N = 4


def sequences() -> NDArray[np.float32]:
    codes = np.random.default_rng(1).integers(0, 4, (N, 2114))
    return np.eye(4, dtype="float32")[codes].transpose(0, 2, 1).copy()


def make(kind: str, variable: str, folder: Path) -> Mapping[str, NDArray[np.float32]]:
    """Let the other environment make its models; returns their outputs."""
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"{variable} is not set: no environment with the packages to compare with")
    np.save(folder / "sequences.npy", sequences())
    environment = {
        **os.environ,
        "KERAS_BACKEND": "torch",
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    environment.pop("PYTHONPATH", None)
    run = subprocess.run(
        [python, str(MAKER), kind, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return dict(np.load(folder / "expected.npz"))


def differ(model: torch.nn.Module, expected: Mapping[str, NDArray[np.float32]], name: str) -> None:
    """Compare both outputs with what the other package said; prints the largest difference."""
    with torch.no_grad():
        outputs = model(torch.from_numpy(sequences()))
    for output, found in zip(("profile", "counts"), outputs, strict=True):
        wanted = expected[f"{name}:{output}"]
        extra = wanted.shape[-1] - found.shape[-1] if output == "profile" else 0
        if extra:  # bpnet-lite keeps the whole profile of a small bias model; chrombpnet crops it
            wanted = wanted[..., extra // 2 : -(extra // 2)]
        assert found.shape == wanted.shape
        difference, scale = np.abs(found.numpy() - wanted).max(), np.abs(wanted).max()
        print(f"{name} {output}: largest difference {difference:.1e} of {scale:.3g}")
        assert difference <= TOLERANCE * scale
        assert wanted.std() > 1e-3 * scale


def write_layout(path: Path, prefix: str, heads: str, filters: int, layers: int, seed: int) -> None:
    """Random weights in the layout of chrombpnet 1.x."""
    generator = np.random.default_rng(seed)
    shapes = {f"{prefix}1st_conv": (21, 4, filters), f"{heads}prof_out_precrop": (75, filters, 1)}
    shapes |= {f"{prefix}{i}conv": (3, filters, filters) for i in range(1, layers + 1)}
    shapes |= {f"{heads}logcount_predictions": (filters, 1)}
    with h5py.File(path, "w") as handle:
        for layer, shape in shapes.items():
            group = handle.create_group(f"model_weights/{layer}/{layer}")
            scale = (1.5 / np.prod(shape[:-1])) ** 0.5
            group["kernel:0"] = (scale * generator.normal(size=shape)).astype("float32")
            group["bias:0"] = (0.1 * generator.normal(size=shape[-1])).astype("float32")


def test_bpnet_lite(tmp_path: Path) -> None:
    write_layout(tmp_path / "bias_layout.h5", "bpnet_", "", 16, 4, seed=1)
    write_layout(tmp_path / "main_layout.h5", "wo_bias_bpnet_", "wo_bias_bpnet_", 32, 8, seed=2)
    expected = make("bpnet-lite", "CISLEX_PEERS_PYTHON", tmp_path)
    for name in sorted({key.split(":")[0] for key in expected}):
        path = tmp_path / name
        if name == "both_layout":
            options: dict[str, Any] = {"bias": tmp_path / "bias_layout.h5"}
            loaded = load_model("chrombpnet", weights=tmp_path / "main_layout.h5", **options)
        elif name.endswith(".h5"):
            loaded = load_model("chrombpnet", weights=path)
        else:
            loaded = load_model("bpnet-lite", weights=path, trust_pickle=name.endswith(".torch"))
        differ(loaded.model, expected, name)
    assert len(expected) == 2 * (4 + 3 + 2 + 1)


def test_cherimoya(tmp_path: Path) -> None:
    expected = make("cherimoya", "CISLEX_PEERS_PYTHON", tmp_path)
    for name in ("plain", "groups", "controls"):
        path = f"{name}.cherimoya"
        differ(load_model("cherimoya", weights=tmp_path / path).model, expected, path)


@pytest.mark.parametrize("variable", ["CISLEX_KERAS2_PYTHON", "CISLEX_PEERS_PYTHON"])
def test_chrombpnet_in_files_of_keras(variable: str, tmp_path: Path) -> None:
    expected = make("keras", variable, tmp_path)
    print(f"Keras {expected['version']}")
    for name in ("bias.h5", "chrombpnet_nobias.h5", "chrombpnet.h5"):
        loaded = load_model("chrombpnet", weights=tmp_path / name)
        assert loaded.input_length == 2114
        differ(loaded.model, expected, name)
