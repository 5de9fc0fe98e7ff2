"""Whether the files of a config are what they are named for, as far as their beginnings tell.

Jobs say the same in more detail, but perhaps hours later. Plain Python without the package, so that Snakemake
parses the workflow without loading torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cislex_workflow.checks import peak_files, text_files
from cislex_workflow.checks.input_files import given_files

#: Bytes that are looked at.
HEAD = 1 << 16
#: The empty block at the end of every file that bgzip writes.
BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
#: What each file is, by the end of its key; the first that fits counts.
KINDS = (
    (r"genome\.fasta", "genome"),
    (r"regions\..*\.fasta|backgrounds\.fasta|start\.fasta|training\.labels\..*", "fasta"),
    (r"regions\..*\.hdf5|labels\..*\.hdf5|training\.hdf5\.path", "arrays"),
    (r"bigwig|labels\..*\.(plus|minus)|signal\.tracks\..*", "bigwig"),
    (r"regions\..*\.peaks|genome\.blacklist|labels\..*\.peaks|keep_bed|intervals\.bed", "peaks"),
    (r"training\.tasks\..*|signal\.peaks|negatives\.path", "peaks"),
    (r"folds\..*|bias(\..*)?", "weights"),
)
#: First bytes of files that were not saved as what they are named for.
ANY = (
    (b"version https://git-lfs", "is a git-lfs pointer, not the file itself: run git lfs pull"),
    (b"<!doctype html", "is a web page: the download failed or asked for a login; download the file itself"),
    (b"<html", "is a web page: the download failed or asked for a login; download the file itself"),
)
PACKED = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)


def problems(config: dict[str, Any], folder: Path) -> Iterator[str]:
    """A line for each file that cannot be what its key says; files that are not there are left out.

    Parameters
    ----------
    config
        The complete config, paths filled in.
    folder
        The folder in which relative paths start.
    """
    seen = set()
    for key, path in given_files(config):
        kind = next((name for end, name in KINDS if re.search(rf"(^|\W)({end})$", key)), "")
        if (path, kind) in seen or not (folder / path).is_file():
            continue
        seen.add((path, kind))
        if problem := _of_file(folder / path, kind):
            yield f"{key}: {path} {problem}"
        elif kind == "peaks":
            yield from (
                f"{key}: {path}{text}" for text in peak_files.problems(key, folder / path, config, folder)
            )


def _of_file(path: Path, kind: str) -> str | None:
    """What is wrong with a file of a kind; None where nothing is, or where it cannot be told."""
    try:
        with path.open("rb") as handle:
            raw = handle.read(HEAD)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not raw:
        return "is empty: copy or download it again"
    for signature, text in ANY:
        if raw[: len(signature)].lower() == signature:
            return text
    if kind == "weights":
        packed = next((name for signature, name in PACKED if raw.startswith(signature)), None)
        return f"is compressed by {packed}: unpack it first" if packed else None
    if kind == "arrays":
        return _of_arrays(raw)
    if kind == "bigwig":
        return _of_bigwig(raw)
    if kind == "genome" and (problem := _of_genome(path, raw)):
        return problem
    if kind in ("genome", "fasta"):
        return _of_fasta(text_files.start(path, HEAD))
    return None


def _of_arrays(raw: bytes) -> str | None:
    # HDF5 may begin after a block of the user's, of 512 bytes or twice that and so on.
    places = [0, *(512 << n for n in range(8))]
    if any(raw[place : place + 8] == b"\x89HDF\r\n\x1a\n" for place in places):
        return None
    if raw.startswith((b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06")):
        return None
    return f"is neither HDF5 nor a NumPy file (.npy, .npz): it begins with {raw[:12]!r}"


def _of_bigwig(raw: bytes) -> str | None:
    if raw[:4] in (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26"):
        return None
    if raw[:4] in (b"\xeb\xf2\x89\x87", b"\x87\x89\xf2\xeb"):
        return "is bigBed; expected bigWig"
    return f"is not a bigWig file: it begins with {raw[:12]!r}"


def _of_genome(path: Path, raw: bytes) -> str | None:
    """What keeps a genome from being read at any place."""
    named = path.name.lower().endswith((".gz", ".bgz"))
    if raw[:2] != b"\x1f\x8b":
        return "has the name of a compressed file but is not compressed; rename it" if named else None
    if raw[12:14] != b"BC":
        return (
            "is compressed with gzip, which has no random access: gunzip the file, then bgzip it (or leave "
            "it uncompressed)"
        )
    if not named:
        return "is bgzipped, so its name must end in .gz or .bgz"
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - len(BGZIP_END)))
        if handle.read() != BGZIP_END:
            return (
                "is truncated: the block with which bgzip ends a file is missing; copy or download it again"
            )
    return None


def _of_fasta(head: bytes | None) -> str | None:
    if head is None:
        return "cannot be unpacked: the compressed file is corrupt or truncated"
    if head.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "begins with a byte-order mark; save the file as plain text (ASCII)"
    if b"\r" in head[:-1] and b"\n" not in head:
        return "has lines that end with a carriage return alone (old Mac text): convert them"
    found = head.lstrip(b"\r\n")
    if not found.startswith(b">"):
        what = f"begins with {found[:40].splitlines()[0]!r}" if found else "has no records"
        return f"is not FASTA, whose first line begins with '>': it {what}"
    return None
