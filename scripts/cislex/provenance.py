"""Digests, seeds and versions: what makes a result traceable to its inputs."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Packages whose version can change a number.
NUMERIC_PACKAGES = ("torch", "keras", "numpy", "h5py", "numba", "pandas", "modisco-lite", "leidenalg")


def digest_json(value: Any) -> str:
    """BLAKE2b-128 hex digest of a JSON-serialisable value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def digest_file(path: str | Path, *, algorithm: str = "blake2b-128") -> str:
    """Hex digest of a file's bytes; ``algorithm`` is ``blake2b-128`` or a name that hashlib knows."""
    hasher = (
        hashlib.blake2b(digest_size=16)
        if algorithm == "blake2b-128"
        else hashlib.new(algorithm, usedforsecurity=False)
    )
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def code_digest() -> str:
    """BLAKE2b-128 hex digest of the package's own source files."""
    folder = Path(__file__).resolve().parent
    files = sorted(folder.rglob("*.py"))
    return digest_strings(f"{path.relative_to(folder)} {digest_file(path)}" for path in files)


def digest_strings(items: Iterable[str]) -> str:
    """BLAKE2b-128 hex digest of a sequence of strings, order included."""
    hasher = hashlib.blake2b(digest_size=16)
    for item in items:
        hasher.update(item.encode())
        hasher.update(b"\0")
    return hasher.hexdigest()


def locus_seed(source_digest: str, chrom: str, start: int, end: int, strand: str, seed: int) -> int:
    """Seed of one region, from what the region *is*: independent of chunk, order, target and method.

    Parameters
    ----------
    source_digest
        Digest of the genome (or of the sequence file, for sequences without coordinates).
    chrom, start, end, strand
        The locus, 0-based half-open.
    seed
        The seed in the config.

    Returns
    -------
    int
        31 bits: 0 ≤ seed < 2**31.
    """
    text = f"{source_digest}\t{chrom}\t{start}\t{end}\t{strand}\t{seed}"
    value = hashlib.blake2b(text.encode(), digest_size=4).digest()
    return int.from_bytes(value, "little") & 0x7FFFFFFF


def locus_seeds(
    source_digest: str,
    chroms: Iterable[str],
    starts: Iterable[int],
    ends: Iterable[int],
    strands: Iterable[str],
    seed: int,
) -> NDArray[np.int64]:
    """``locus_seed`` of many regions: int64 (N,)."""
    rows = zip(chroms, starts, ends, strands, strict=True)
    return np.array(
        [locus_seed(source_digest, c, int(s), int(e), t, seed) for c, s, e, t in rows], dtype=np.int64
    )


def versions(packages: Iterable[str] = NUMERIC_PACKAGES) -> dict[str, str]:
    """Installed version of each package, Python's and cislex's own included."""
    from cislex import __version__

    found: dict[str, str] = {"cislex": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def to_attributes(values: Mapping[str, Any]) -> dict[str, str | int | float]:
    """HDF5 attributes from a mapping: scalars stay, anything else becomes JSON text."""
    return {
        key: value if isinstance(value, str | int | float) else json.dumps(value, sort_keys=True, default=str)
        for key, value in values.items()
    }
