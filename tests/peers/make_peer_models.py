"""Make random models with the packages that define the published formats, in their own files, with outputs.

Run by tests/peers/test_published_formats.py with the Python of an environment of its own (those packages must
not be installed beside modisco-lite): ``make_peer_models.py {bpnet-lite | cherimoya | keras} FOLDER``. FOLDER
holds ``sequences.npy``, float32 (N, 4, L); model files and ``expected.npz`` (``{file}:{output}``) are added.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

LENGTH, OUT = 2114, 1000


def randomise_torch(model: Any, seed: int) -> None:
    """Weights that keep signals at one scale through the layers."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.parameters():
            values = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(values * ((1.5 / tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.1))


def run_torch(name: str, model: Any, folder: Path, *controls: Any) -> dict[str, np.ndarray]:
    """Profile and counts of every sequence."""
    import torch

    with torch.no_grad():
        profile, counts = model.eval()(torch.from_numpy(np.load(folder / "sequences.npy")), *controls)
    return {f"{name}:profile": profile.numpy(), f"{name}:counts": counts.numpy()}


def make_bpnet_lite(folder: Path) -> dict[str, np.ndarray]:
    """Whole modules and state dicts of bpnet-lite; and what it reads from Keras files that are there."""
    import torch
    from bpnetlite.bpnet import BPNet
    from bpnetlite.chrombpnet import ChromBPNet

    found: dict[str, np.ndarray] = {}
    bias = BPNet(n_filters=16, n_layers=4, n_outputs=1, n_control_tracks=0, verbose=False)
    main = BPNet(n_filters=32, n_layers=8, n_outputs=1, n_control_tracks=0, verbose=False)
    stranded = BPNet(n_filters=24, n_layers=8, n_outputs=2, n_control_tracks=2, verbose=False)
    trimmed = BPNet(n_filters=8, n_layers=3, n_control_tracks=0, trimming=557, count_output_bias=False)
    for seed, model in enumerate((bias, main, stranded, trimmed)):
        randomise_torch(model, seed)
    both = ChromBPNet(bias, main)
    zeros = torch.zeros(len(np.load(folder / "sequences.npy")), 2, LENGTH)
    for name, model, controls in (
        ("bpnet", main, ()),
        ("stranded", stranded, (zeros,)),
        ("trimmed", trimmed, ()),
        ("chrombpnet", both, ()),
    ):
        torch.save(model, folder / f"{name}.torch")
        found |= run_torch(f"{name}.torch", model, folder, *controls)
        if name != "trimmed":  # a state dict does not say where the profile was trimmed
            torch.save(model.state_dict(), folder / f"{name}.state.pt")
            found |= run_torch(f"{name}.state.pt", model, folder, *controls)
    for path in sorted(folder.glob("*_layout.h5")):
        found |= run_torch(path.name, BPNet.from_chrombpnet(str(path)), folder)
    if (folder / "bias_layout.h5").exists():
        paths = (str(folder / "bias_layout.h5"), str(folder / "main_layout.h5"))
        found |= run_torch("both_layout", ChromBPNet.from_chrombpnet(*paths), folder)
    return found


def make_cherimoya(folder: Path) -> dict[str, np.ndarray]:
    """Checkpoints of cherimoya."""
    import torch
    from cherimoya.cherimoya import Cherimoya

    found: dict[str, np.ndarray] = {}
    zeros = torch.zeros(len(np.load(folder / "sequences.npy")), 2, LENGTH)
    for name, settings, controls in (
        ("plain", {"n_filters": 32}, ()),
        ("groups", {"n_filters": 16, "signal_groups": [1, 2], "expansion": 3, "residual_scale": 0.3}, ()),
        ("controls", {"n_filters": 16, "n_control_tracks": 2, "trimming": 557}, (zeros,)),
    ):
        model = Cherimoya(**settings, compile=False)
        randomise_torch(model, len(name))
        model.save(str(folder / f"{name}.cherimoya"))
        found |= run_torch(f"{name}.cherimoya", model, folder, *controls)
    return found


def bpnet_of_keras(
    keras: Any, prefix: str, heads: str, crop: str, filters: int, layers: int, **named: Any
) -> Any:
    """The network of chrombpnet, with its names of layers."""
    kinds = keras.layers
    inputs = keras.Input((LENGTH, 4), name="sequence")
    h = kinds.Conv1D(filters, 21, activation="relu", name=f"{prefix}1st_conv")(inputs)
    for i in range(1, layers + 1):
        c = kinds.Conv1D(filters, 3, dilation_rate=2**i, activation="relu", name=f"{prefix}{i}conv")(h)
        h = kinds.Cropping1D((h.shape[1] - c.shape[1]) // 2, name=f"{prefix}{i}crop")(h)
        h = kinds.add([c, h])
    profile = kinds.Conv1D(1, 75, name=f"{heads}prof_out_precrop")(h)
    profile = kinds.Cropping1D(profile.shape[1] // 2 - OUT // 2, name=crop)(profile)
    profile = kinds.Flatten(name=f"{heads}logits_profile_predictions")(profile)
    counts = kinds.Dense(1, name=f"{heads}logcount_predictions")(kinds.GlobalAveragePooling1D(name="gap")(h))
    return keras.Model(inputs, [profile, counts], **named)


def make_keras(folder: Path) -> dict[str, np.ndarray]:
    """Files of chrombpnet as this environment's Keras (2 or 3) writes them."""
    try:
        from tensorflow import keras
    except ImportError:
        import keras
    bias = bpnet_of_keras(keras, "bpnet_", "", "logits_profile_predictions_preflatten", 16, 4)
    names = ("wo_bias_bpnet_", "wo_bias_bpnet_", "wo_bias_bpnet_logitt_before_flatten")
    main = bpnet_of_keras(keras, *names, 32, 8, name="model_wo_bias")
    generator = np.random.default_rng(0)
    for model in (bias, main):
        model.set_weights(
            [
                generator.normal(size=w.shape) * ((1.5 / np.prod(w.shape[:-1])) ** 0.5 if w.ndim > 1 else 0.1)
                for w in model.get_weights()
            ]
        )
    inputs = keras.Input((LENGTH, 4), name="sequence")
    (p, c), (q, d) = main(inputs), bias(inputs)
    total = keras.layers.Add(name="logits_profile_predictions")([p, q])
    joined = keras.layers.Concatenate(axis=-1)(
        [c, d]
    )  # their logsumexp is taken below: a lambda needs no file
    full = keras.Model(inputs, [total, joined])
    x = np.load(folder / "sequences.npy").transpose(0, 2, 1)
    found: dict[str, np.ndarray] = {}
    for name, model in (("bias.h5", bias), ("chrombpnet_nobias.h5", main), ("chrombpnet.h5", full)):
        model.save(folder / name)
        profile, counts = (np.asarray(value) for value in model.predict(x, verbose=0))
        found[f"{name}:profile"] = profile[:, None]
        found[f"{name}:counts"] = np.logaddexp.reduce(counts.astype("f8"), axis=1, keepdims=True)
    found["version"] = np.array(keras.__version__ if hasattr(keras, "__version__") else "2")
    return found


if __name__ == "__main__":
    maker = {"bpnet-lite": make_bpnet_lite, "cherimoya": make_cherimoya, "keras": make_keras}[sys.argv[1]]
    place = Path(sys.argv[2])
    np.savez(place / "expected.npz", **maker(place))
