"""Read weights files without running anything in them; errors name damage and unexpected formats."""

from __future__ import annotations

import argparse
import errno
import pathlib
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy._core import multiarray

from cislex.errors import CislexError, ModelError, offenders

#: First bytes of files that are taken for weights, and what to do about them.
_SIGNATURES = (
    (b"version https://git-lfs", "a git-lfs pointer, not the weights themselves: run git lfs pull"),
    (b"\x1f\x8b", "compressed by gzip: unpack it first"),
    (b"BZh", "compressed by bzip2: unpack it first"),
    (b"\xfd7zXZ", "compressed by xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it first"),
    (b"\x89HDF", "an HDF5 file, as Keras writes: loader chrombpnet or architecture: deepstarr reads those"),
    (b"\x93NUMPY", "a NumPy array: save a state dict with torch.save or safetensors"),
    (b"<", "a web page: the download failed or asked for a login; download the file itself"),
)
#: Classes of plain data that checkpoints carry beside tensors; making one runs nothing. With a name: what
#: stands in for a class that is not installed, or that another system or release has elsewhere.
_PLAIN: list[Any] = [
    argparse.Namespace,
    pathlib.PurePosixPath,
    *(
        (pathlib.PurePosixPath, f"pathlib.{name}")
        for name in ("PosixPath", "_local.PosixPath", "WindowsPath")
    ),
    *((OrderedDict, f"{place}.AttributeDict") for place in (
        "lightning.fabric.utilities.data", "lightning_fabric.utilities.data",
        "lightning.pytorch.utilities.parsing", "pytorch_lightning.utilities.parsing",
    )),
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in "?bBhHiIlLqQefdFDSU"},
    *(
        (function, f"{place}.multiarray.{function.__name__}")
        for place in ("numpy.core", "numpy._core")
        for function in (multiarray.scalar, multiarray._reconstruct)
    ),
]  # fmt: skip


@contextmanager
def reading(weights: Path) -> Iterator[None]:
    """Turn whatever a reader raises into an error that names the file and says what to do."""
    try:
        yield
    except CislexError:
        raise
    except Exception as error:
        raise ModelError(f"{weights}: {_reason(weights, error)}") from error


def _reason(weights: Path, error: Exception) -> str:
    """What is wrong with a file that a reader refused, without PyTorch's advice to lift its protection."""
    if found := _other_kind(weights):
        return f"not a file of weights but {found}"
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.errno != errno.EINVAL:  # of a cut archive
        return f"cannot be read: {error.strerror}"
    if isinstance(error, MemoryError) or "alloc" in text.lower():
        return f"{weights.stat().st_size / 2**20:,.0f} MB of weights do not fit into memory"
    if named := _object(error):
        return (
            f"contains {named} in addition to tensors, which could run code on loading; save only the state "
            "dict (torch.save(model.state_dict(), …)), which needs no trust, or, for a whole model from a "
            "source that you trust, use loader: pickled and trust_pickle: true. Readable without trust: "
            "tensors, numbers, text, containers of them, NumPy arrays and scalars, argparse.Namespace and "
            "paths"
        )
    inner = text.rpartition("WeightsUnpickler error:")[2].strip()
    first = next(iter(inner.splitlines()), "no message")
    return (
        f"cannot be read as this loader's format: {type(error).__name__}: {first}; is the file damaged or "
        "truncated? Copy it again and compare its size and checksum"
    )


def _object(error: BaseException | None) -> str | None:
    """The class or function that a safe reader refused, or None where it failed for another reason."""
    named = re.search(r"GLOBAL (\S+)|but got <class '([^']+)'>|unrecognized function (.+)", str(error))
    return next((name for name in named.groups() if name), None) if named else None


def _other_kind(weights: Path) -> str | None:
    """What a file is that is not of weights, by its first bytes."""
    with weights.open("rb") as handle:
        head = handle.read(64)
    if not head:
        return "empty: copy or download it again"
    return next((what for signature, what in _SIGNATURES if head.startswith(signature)), None)


def read_checkpoint(weights: Path, *, weights_only: bool = True) -> Any:
    """Read a file of ``torch.save`` or safetensors onto the CPU; with ``weights_only`` it cannot run code.

    Raises
    ------
    ModelError
        When the file is damaged (checksums of an archive are compared), something else, or holds objects.
    """
    with reading(weights):
        if weights.suffix == ".safetensors":
            return safetensors.torch.load_file(weights)
        check_archive(weights)
        if not weights_only:
            return torch.load(weights, map_location="cpu", weights_only=False)
        with torch.serialization.safe_globals(_PLAIN), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="numpy.core", category=DeprecationWarning)
            return torch.load(weights, map_location="cpu", weights_only=True)


def check_archive(weights: Path) -> None:
    """Compare the checksum of every member of a zip archive, which PyTorch's own reader leaves unread.

    Raises
    ------
    ModelError
        Naming the members that differ.
    """
    if not zipfile.is_zipfile(weights):
        return
    with zipfile.ZipFile(weights) as archive:
        bad = []
        for member in archive.infolist():
            try:
                with archive.open(member) as handle:
                    while handle.read(1 << 20):
                        pass
            except zipfile.BadZipFile:
                bad.append(member.filename)
    if bad:
        raise ModelError(
            f"{weights}: damaged: checksum mismatch in {offenders(bad)}; copy the file again (if it was "
            "saved without checksums, save it again)"
        )


def is_torch_file(weights: Path) -> bool:
    """Whether a file begins as ``torch.save`` writes it: a zip archive, or a pickle (before PyTorch 1.6)."""
    with weights.open("rb") as handle:
        return handle.read(2) in (b"PK", b"\x80\x02")


def holds_plain_data(weights: Path) -> bool:
    """Whether a file of ``torch.save`` can be read without running code that it brings."""
    try:
        read_checkpoint(weights)
    except ModelError as error:
        if _object(error.__cause__):
            return False
        raise
    return True
