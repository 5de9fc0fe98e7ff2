"""Weights and code of models: which are refused with which words."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bad_inputs.case import bad, folder, packed

CODE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.dense = torch.nn.Conv1d(4, 3, 5), torch.nn.Linear(3 * 36, 2)

    def forward(self, x):
        return self.dense(self.conv(x).relu().flatten(1))

def build():
    return Net()

def failing():
    raise ValueError("no vocabulary")

def number():
    return 3
"""
SHAPES = {"conv.weight": (3, 4, 5), "conv.bias": (3,), "dense.weight": (2, 108), "dense.bias": (2,)}


def state(**changes: Any) -> dict[str, Any]:
    """The weights of ``CODE``, some of them others (None: missing)."""
    found = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    found |= {name.replace("_", "."): value for name, value in changes.items()}
    return {name: value for name, value in found.items() if value is not None}


def saved(what: Any, *, cut: int = 0, flip: bool = False, old: bool = False) -> Callable[[Path], object]:
    """What torch.save writes of an object."""

    def make(path: Path) -> None:
        buffer = io.BytesIO()
        torch.save(what, buffer, _use_new_zipfile_serialization=not old)
        data = bytearray(buffer.getvalue())
        if flip:
            data[data.find(torch.full((7,), 1.5).numpy().tobytes()) + 2] ^= 1
        path.write_bytes(data[: -cut or None])

    return make


def exported(path: Path) -> None:
    """Not a program, but a state dict under the name of one."""
    saved(state())(path)


FLIPPED = saved(state(conv_bias=torch.full((7,), 1.5)), flip=True)
LFS = "version https://git-lfs.github.com/spec/v1\n"
PAGE = "<!DOCTYPE html><title>Sign in</title>"

# fmt: off
#: fault, weights, what must be read, when; other settings of the model
BAD = [
    bad("no such file", lambda path: None, "models.net.folds.f0: no such file: f0.pt"),
    bad("folder", folder, "models.net.folds.f0: f0.pt is a folder; expected a file"),
    bad("empty file", b"", "models.net.folds.f0: f0.pt is empty: copy or download it again"),
    bad("git-lfs pointer", LFS, "models.net.folds.f0: f0.pt is a git-lfs pointer", "git lfs pull"),
    bad("web page", PAGE, "f0.pt is a web page: the download failed or asked for a login"),
    bad("gzip", packed(b"PK"), "f0.pt is compressed by gzip: unpack it first"),
    bad("no such function", saved(state()), "models.net.module: model.py has no function 'bild'; it has Net, build", "did you mean 'build'?", module="model.py:bild"),
    bad("no such module", saved(state()), "models.net.module: no such file: gone.py", module="gone.py:build"),
    bad("pickled without trust", saved(state()), "set trust_pickle: true", loader="pickled", module=None),
    bad("TorchScript with DeepLIFT", saved(state()), "cannot see the operations of TorchScript", loader="torchscript", module=None),
    bad("HDF5 file", b"\x89HDF\r\n\x1a\n" + bytes(99), "not a file of weights but an HDF5 file", when="job"),
    bad("text", "weights", "cannot be read as this loader's format", "Copy it again", when="job"),
    bad("cut", saved(state(), cut=500), "f0.pt: cannot be read", "truncated? Copy it again", when="job"),
    bad("flipped bit", FLIPPED, "damaged: checksum mismatch in", "copy the file again", when="job"),
    bad("cut, old format", saved(state(), cut=99, old=True), "f0.pt: cannot be read", when="job"),
    bad("whole module", saved(torch.nn.Linear(1, 1)), "in addition to tensors", "trust_pickle: true", when="job"),
    bad("a tensor alone", saved(torch.zeros(3)), "expected a state dict (names → tensors), found Tensor", when="job"),
    bad("numbers in it", saved(state(conv_bias=3)), "not tensors: conv.bias: int", when="job"),
    bad("weight missing", saved(state(conv_bias=None)), "missing conv.bias; unexpected none", when="job"),
    bad("weight too many", saved(state(head_bias=torch.ones(1))), "unexpected head.bias", when="job"),
    bad("other shape", saved(state(conv_bias=torch.ones(5))), "conv.bias (5,) in the file, (3,)", when="job"),
    bad("NaN", saved(state(dense_bias=torch.full((2,), float("nan")))), "NaN or infinite on plain", when="job"),
    bad("factory fails", saved(state()), "raised ValueError: no vocabulary", when="job", module="model.py:failing"),
    bad("factory gives no model", saved(state()), "returned int", when="job", module="model.py:number"),
    bad("other input length", saved(state()), "the model failed on two sequences of 60 bp", "Does the regions' length match the model's?", when="job", input_length=60),
    bad("not safetensors", "text", "f0.safetensors: cannot be read", when="job", name="f0.safetensors"),
    bad("no exported program", saved(state()), "f0.pt2: ", when="job", loader="exported", module=None, name="f0.pt2"),
    bad("no TorchScript", saved(state()), "f0.pt: ", when="job", loader="torchscript", module=None, saliency=True),
    bad("not of train_model", saved(state()), "f0.pt: ", "architecture", when="job", loader="trained", module=None),
    bad("no ChromBPNet", "text", "f0.h5: not an HDF5 file", when="job", loader="chrombpnet", module=None, name="f0.h5"),
    bad("no cherimoya", saved(state()), "expected config and state_dict", when="job", loader="cherimoya", module=None),
    bad("no bpnet-lite", saved(state()), "f0.pt: ", when="job", loader="bpnet-lite", module=None),
    bad("no network of the zoo", saved(state()), "the weights do not fit the model: missing", when="job", loader="architecture", module=None, architecture="basset"),
]
# fmt: on
