"""Trained Keras models that were published in wheels: read right, attributed exactly, and about splice sites.

CISLEX_PUBLISHED names a folder with the unpacked wheels; nothing of them is part of cislex (docs/models.md):

    pip download --no-deps --dest published spliceai==1.3.1 mmsplice==2.4.0
    for wheel in published/*.whl; do python -m zipfile --extract $wheel published; done
    CISLEX_PUBLISHED=published pytest -rP tests/peers/test_published_weights.py
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute
from cislex.models.loading import LoadedModel, check_model, load_model
from cislex.targets import Output, PreActivation
from torch import Tensor
from yeast_introns import CONTEXT, windows

LAYERS = f"{Path(__file__).with_name('mmsplice_layers.py')}:OBJECTS"
#: Path in the wheel, whether it needs layers of its own, and the length of the sequences for the test.
MODELS = {
    "spliceai/models/spliceai1.h5": (False, 10_003),
    "mmsplice/models/Donor.h5": (False, 18),
    "mmsplice/models/Acceptor.h5": (True, 53),
    "mmsplice/models/Exon.h5": (True, 120),
    "mmsplice/models/Intron3.h5": (False, 100),
    "mmsplice/models/mtsplice0.h5": (True, 400),
    "mmsplice/models/mtsplice_deep0.h5": (True, 400),
}


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda values: values,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "softmax": lambda values: values.softmax(-1),
}


def published(name: str) -> Path:
    folder = os.environ.get("CISLEX_PUBLISHED")
    if not folder:
        pytest.skip("CISLEX_PUBLISHED is not set: no published weights")
    path = Path(folder) / name
    if not path.is_file():
        pytest.skip(f"CISLEX_PUBLISHED has no {name}")
    return path


def load(name: str) -> LoadedModel:
    custom, length = MODELS[name]
    layout = {"controls": [[length, 4]]} if "mtsplice" in name else None
    return load_model("keras", weights=published(name), module=LAYERS if custom else None, layout=layout)


def onehot(n: int, length: int) -> Tensor:
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(3))
    return functional.one_hot(codes, 4).transpose(1, 2).to(torch.uint8)


class Definition:
    """A network of plain layers as the file's description says, in float64, without Keras."""

    def __init__(self, path: Path) -> None:
        with h5py.File(path) as handle:
            self.layers = json.loads(handle.attrs["model_config"])["config"]["layers"]
            self.weights: dict[str, dict[str, Tensor]] = {}

            def keep(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    layer, weight = name.split("/")[0], name.split("/")[-1].split(":")[0]
                    values = torch.from_numpy(np.asarray(item, np.float64))
                    self.weights.setdefault(layer, {})[weight] = values

            handle["model_weights"].visititems(keep)

    def __call__(self, x: Tensor) -> Tensor:
        """Output for (N, L, 4)."""
        values: dict[str, Tensor] = {}
        for layer in self.layers:
            nodes = layer["inbound_nodes"]
            inputs = [values[entry[0]] for entry in nodes[0]] if nodes else [x]
            values[layer["name"]] = self.run(
                layer["class_name"], layer["config"], self.weights.get(layer["name"], {}), inputs
            )
        return values[self.layers[-1]["name"]]

    def run(self, kind: str, settings: dict[str, Any], w: dict[str, Tensor], inputs: list[Tensor]) -> Tensor:
        h = inputs[0]
        if kind == "Conv1D":
            kernel, (dilation,) = w["kernel"].permute(2, 1, 0), settings["dilation_rate"]
            reach = dilation * (kernel.shape[-1] - 1) if settings["padding"] == "same" else 0
            padded = functional.pad(h.transpose(1, 2), (reach // 2, reach - reach // 2))
            h = functional.conv1d(padded, kernel, w["bias"], dilation=dilation).transpose(1, 2)
        elif kind == "Dense":
            h = h @ w["kernel"] + w["bias"]
        elif kind == "BatchNormalization":
            scale = w["gamma"] / (w["moving_variance"] + settings["epsilon"]).sqrt()
            h = (h - w["moving_mean"]) * scale + w["beta"]
        elif kind == "Add":
            h = inputs[0] + inputs[1]
        elif kind == "Cropping1D":
            h = h[:, settings["cropping"][0] : h.shape[1] - settings["cropping"][1]]
        elif kind == "GlobalAveragePooling1D":
            h = h.mean(1)
        elif kind == "Flatten":
            h = h.flatten(1)
        elif kind == "ReLU":
            h = h.relu()
        elif kind not in ("InputLayer", "Dropout", "Activation"):
            raise NotImplementedError(kind)
        return ACTIVATIONS[settings.get("activation", "linear")](h)


@pytest.mark.parametrize("name", [name for name, (custom, _) in MODELS.items() if not custom])
def test_the_model_is_what_its_file_describes(name: str) -> None:
    loaded, x = load(name), onehot(2, MODELS[name][1])
    with torch.no_grad():
        found, wanted = loaded.model(x.float()), Definition(published(name))(x.transpose(1, 2).double())
    assert found.shape == wanted.shape
    scale = float(wanted.abs().max())
    print(f"{name}: largest difference {float((found - wanted).abs().max()):.1e} of {scale:.3g}")
    torch.testing.assert_close(found.double(), wanted, atol=1e-5 * scale, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_deep_lift_shap_is_exact(name: str) -> None:
    loaded, length = load(name), MODELS[name][1]
    shape = check_model(loaded, length)["output"]
    target = Output((0,) * len(shape))
    found = attribute(
        loaded.model,
        onehot(1, length),
        DeepLiftShap(references=DinucleotideShuffle(n=2)),
        target=PreActivation(target) if "spliceai" in name else target,
    )
    assert found.max_relative_delta is not None
    print(f"{name}: relative delta {float(found.max_relative_delta.max()):.1e}")
    assert float(found.max_relative_delta.max()) <= 1e-4
    assert float(found.contributions.abs().max()) > 0


def test_spliceai_sees_the_splice_sites_of_actin(shared_data: Path) -> None:
    model = load("spliceai/models/spliceai1.h5").model
    for kind, column, places in (("acceptors", 1, (-2, -1)), ("donors", 2, (1, 2))):
        sequence = windows(shared_data / "yeast" / "sacCer3.fa.gz", kind)["ACT1"]
        codes = torch.tensor(["ACGT".index(base) for base in sequence])
        x = functional.one_hot(codes, 4).T[None].to(torch.uint8)
        target = PreActivation(Output((0, column)))
        found = attribute(model, x, DeepLiftShap(references=DinucleotideShuffle(n=2)), target=target)
        top = torch.topk(found.contributions.sum((0, 1)), 6).indices.tolist()
        assert {CONTEXT + place for place in places} <= set(top), kind
