"""What result files hold: read whole, without what differs between two equal runs."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

#: Attributes of HDF5 files that tell how long something took, and the one that holds all of them once more.
VOLATILE = ("regions_per_second", "resumed_at", "attributes_json")
#: The same in texts: measured times, rates and memory, and what follows from them.
MEASURED = re.compile(r"^.*(seconds|memory|minutes|_mb\b|/s\b|hours|GPU).*$", re.MULTILINE)


#: Digests of files in texts and attributes.
DIGEST = re.compile(r"\b[0-9a-f]{32}\b")


def digest_of(path: Path, *, digests: bool = True) -> str:
    """A digest of what a file holds, each value read; or why it cannot be read.

    ``digests``: digests of other files that it names count.
    """
    try:
        if path.suffix in (".h5", ".hdf5"):
            return hashlib.md5(_hdf5(path, digests)).hexdigest()
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if path.suffix in (".tsv", ".txt"):
            data = MEASURED.sub("", data.decode()).encode()
        if not digests:
            data = DIGEST.sub("", data.decode("latin-1")).encode()
        return hashlib.md5(data).hexdigest()
    except Exception as error:
        return f"unreadable: {type(error).__name__}: {error}"


def _hdf5(path: Path, digests: bool) -> bytes:
    import h5py

    parts: list[bytes] = []

    def add(name: str, thing: h5py.Dataset | h5py.Group) -> None:
        parts.append(name.encode())
        parts.extend(
            (text if digests else DIGEST.sub("", text)).encode()
            for key, value in sorted(thing.attrs.items())
            if key not in VOLATILE and (text := f"{key}={value!r}")
        )
        if isinstance(thing, h5py.Dataset):
            values = thing[()]
            parts.append(f"{thing.dtype} {thing.shape}".encode())
            parts.append(values.tobytes() if thing.dtype.kind != "O" else repr(values).encode())

    with h5py.File(path) as handle:
        add("", handle)
        handle.visititems(add)
    return b"\0".join(parts)
