"""Flipped bits and lost sectors: every file reads as it was written, or is an error with a name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from cislex.chunks.aggregate import aggregate_chunks
from cislex.chunks.files import ChunkFiles
from cislex.chunks.gate import Gate, gate_attributions
from cislex.chunks.writing import write_chunk
from cislex.errors import CislexError, StorageError
from cislex.files.checkpoint import Checkpoint
from cislex.files.hdf5 import new_hdf5
from cislex.files.hdf5_blocks import group_in, opened, read_all
from cislex.files.sealed import ADVICE, COPY, fletcher32, reason, sealed_attributes
from cislex.files.tables import create_array, digest_regions, open_hdf5
from cislex.motifs.files import read_motifs, write_modisco
from cislex.sequences.store import SequenceStore, write_sequences

N, LENGTH, REFERENCES = 60, 200, 3
GATE = Gate(1e-3, "keep")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """sequences.h5, a chunk file and attributions.h5."""
    folder = tmp_path_factory.mktemp("rot")
    generator = np.random.default_rng(0)
    starts = np.arange(N) * 1000
    regions = pd.DataFrame({"chrom": "chr1", "start": starts, "end": starts + LENGTH, "name": "peak_ä"})
    regions["name"] = [f"peak_ä{row}" for row in range(N)]
    regions["strand"] = np.where(np.arange(N) % 2, "+", "-")
    codes = generator.integers(0, 4, (N, LENGTH), np.uint8)
    write_sequences(
        folder / "sequences.h5", iter([codes]), regions, LENGTH,
        attributes={"source_digest": "genome", "has_coordinates": True},
    )  # fmt: skip
    facts: dict[str, Any] = {
        "start": 0, "stop": N, "n_regions": N, "chunks": 1, "stage_digest": "s", "method": {"name": "x"},
        "targets": {"a": {}}, "precision": "float32", "versions": {}, "source_digest": "genome", "fold": "f",
        "model_digest": "m", "seed": 0, "regions_digest": digest_regions(regions),
    }  # fmt: skip
    with Checkpoint(folder / "log", {}) as log:
        for row in range(N):
            tails: dict[str, tuple[int, ...]] = {
                "hypothetical": (4, LENGTH), "baseline": (LENGTH,), "prediction": (), "delta": (REFERENCES,),
                "reference_prediction": (REFERENCES,), "max_relative_delta": (),
            }  # fmt: skip
            arrays = {f"0/{key}": normal(generator, (1, *tail)) for key, tail in tails.items()}
            log.append(row + 1, arrays, {"batch": "1"})
        write_chunk(folder / "chunk.h5", log, ["a"], np.arange(N), (N, LENGTH), lambda: facts)
    made = {name: folder / f"{name}.h5" for name in ("sequences", "chunk", "attributions")}
    aggregate(made, folder)
    made["modisco"] = folder / "modisco.h5"
    write_patterns(made["modisco"], generator)
    return made


def write_patterns(path: Path, generator: np.random.Generator) -> None:
    """Two patterns with thirty seqlets each."""
    matrices = {
        name: generator.random((30, 4)) for name in ("sequence", "contrib_scores", "hypothetical_contribs")
    }
    place = {"start": 9, "end": 39, "example_idx": 7, "is_revcomp": False}
    pattern = SimpleNamespace(
        **matrices, seqlets=[SimpleNamespace(**matrices, **place)] * 30, subcluster_to_subpattern=None
    )
    found = {"pos_patterns": [pattern, pattern]}
    write_modisco(path, found, rows=np.arange(N), offset=0, length=LENGTH, attributes={"regions": N})


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.normal(size=shape).astype(np.float32)


def aggregate(files: dict[str, Path], folder: Path) -> None:
    chunks = {"f": [files["chunk"]]}
    out, qc = folder / "attributions.h5", folder / "qc.tsv"
    aggregate_chunks(files["sequences"], chunks, out, qc, target="a", gate=GATE)


def read_sequences(path: Path) -> list[Any]:
    with SequenceStore(path) as store:
        return [
            store.source_digest,
            store.has_coordinates,
            *store.regions().to_dict("list").values(),
            store.read(),
        ]


def read_chunk(path: Path) -> list[Any]:
    chunk = ChunkFiles("f", [path], "a", N, LENGTH, model_digest="m")
    with opened(path, what="chunk") as handle:
        group = group_in(handle, "targets/a")
        names = (
            "hypothetical",
            "baseline",
            "prediction",
            "delta",
            "reference_prediction",
            "max_relative_delta",
        )
        values = [read_all(group, name, "f4") for name in names]
    return [chunk.shared, chunk.regions, chunk.notes, chunk.digests, chunk.computed, *values]


def read_attributions(path: Path) -> list[Any]:
    with open_hdf5(path, what="attributions") as handle:
        found = {name: handle[name][:] for name in handle if name != "regions"}
        regions = [handle[f"regions/{name}"][:] for name in handle["regions"]]
        return [dict(handle.attrs), sorted(found), *(found[name] for name in sorted(found)), *regions]


def read_patterns(path: Path) -> list[Any]:
    return [(m.name, m.n_seqlets, m.ppm, m.cwm, m.hypothetical, m.start, m.end) for m in read_motifs(path)]


READERS: dict[str, Callable[[Path], list[Any]]] = {
    "sequences": read_sequences,
    "chunk": read_chunk,
    "attributions": read_attributions,
    "modisco": read_patterns,
}


def damage(path: Path, place: int, size: int | None) -> None:
    """Zero a sector, or flip one bit where ``size`` is None."""
    data = bytearray(path.read_bytes())
    if size is None:
        data[place] ^= 1 << place % 8
    else:
        data[place : place + size] = bytes(len(data[place : place + size]))
    path.write_bytes(data)


SWEEP = """
import sys; sys.path[:0] = sys.argv[1:3]
from pathlib import Path
import numpy as np
import test_bit_rot as rot
kind, path, copy = sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5])
read, size = rot.READERS[kind], path.stat().st_size
expected = read(path)
places = [(int(p), None) for p in np.random.default_rng(1).integers(0, size, 60)]
places += [(p, None) for p in range(0, min(size, 6000), 90)]
places += [(p, 512) for p in range(0, size - size % 512, 512 * max(1, size // 512 // 40))]
tail = size - size % 512
places += [(p, 512) for p in range(max(0, tail - 512 * 24), tail + 1, 512)]
errors = 0
for place, length in places:
    rot.shutil.copyfile(path, copy)
    rot.damage(copy, place, length)
    print(place, length, flush=True)
    try:
        found = read(copy)
    except rot.CislexError as error:
        assert str(copy) in str(error), error
        errors += 1
        continue
    np.testing.assert_equal(found, expected)
assert errors > 40, errors
"""


@pytest.mark.parametrize("kind", READERS)
def test_a_flipped_bit_or_a_zeroed_sector_is_no_other_value_and_no_hang(
    files: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    """In one child for each file, so that a loop in the HDF5 library would end here, too."""
    paths = [str(Path(__file__).parents[1] / "scripts"), str(Path(__file__).parent)]
    command = [sys.executable, "-c", SWEEP, *paths, kind, str(files[kind]), str(tmp_path / "copy.h5")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"at {done.stdout.splitlines()[-1:]}: {done.stderr[-2000:]}"


def block_of(path: Path, name: str, row: int) -> int:
    """Byte of the file in the middle of the block that holds a row."""
    with h5py.File(path) as handle:
        dataset = handle[name]
        for number in range(dataset.id.get_num_chunks()):
            info = dataset.id.get_chunk_info(number)
            if info.chunk_offset[0] <= row < info.chunk_offset[0] + dataset.chunks[0]:
                return int(info.byte_offset) + int(info.size) // 2
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("kind", "name", "match"),
    [
        ("chunk", "targets/a/hypothetical", r"chunk\.h5: /targets/a/hypothetical, rows \d+ to \d+: cannot"),
        ("chunk", "targets/a/delta", r"chunk\.h5: /targets/a/delta, rows 0 to 60: cannot be read"),
        ("sequences", "sequences", r"sequences\.h5: /sequences, rows 0 to 60: cannot be read"),
        ("sequences", "regions/start", r"sequences\.h5: /regions/start, .*rows.*: cannot be read"),
    ],
)
def test_damage_is_found_before_blocks_are_copied_and_chunks_are_removed(
    files: dict[str, Path], tmp_path: Path, kind: str, name: str, match: str
) -> None:
    there = {**files, kind: tmp_path / files[kind].name}
    shutil.copyfile(files[kind], there[kind])
    damage(there[kind], block_of(there[kind], name, 30), None)
    with pytest.raises(StorageError, match=match):
        aggregate(there, tmp_path)
    assert sorted(tmp_path.iterdir()) == [there[kind]]


def test_content_that_differs_from_its_digest_is_not_aggregated(
    files: dict[str, Path], tmp_path: Path
) -> None:
    """Its checksums are right: the value changed before it was packed, or someone edited it."""
    there = {**files, "chunk": tmp_path / "chunk.h5"}
    shutil.copyfile(files["chunk"], there["chunk"])
    with h5py.File(there["chunk"], "r+") as handle:
        handle["targets/a/baseline"][7, 3] += 1
    with pytest.raises(StorageError, match=r"chunk\.h5: targets/a/baseline: its digest is"):
        aggregate(there, tmp_path)


def test_a_gate_copies_no_damaged_block(files: dict[str, Path], tmp_path: Path) -> None:
    complete = tmp_path / "attributions.all.h5"
    shutil.copyfile(files["attributions"], complete)
    damage(complete, block_of(complete, "hypothetical", 30), None)
    with pytest.raises(StorageError, match=r"attributions\.all\.h5: /hypothetical, rows \d+ to \d+: cannot"):
        gate_attributions(complete, tmp_path / "a.h5", tmp_path / "qc.tsv", gate=Gate(1e-4, "keep"))
    assert sorted(tmp_path.iterdir()) == [complete]


@pytest.mark.parametrize("size", [1, 2, 3, 359, 720, 65_535, 65_536, 200_001])
@pytest.mark.parametrize("value", [0, 255, None])
def test_checksums_are_those_of_the_hdf5_library(tmp_path: Path, size: int, value: int | None) -> None:
    values = np.full(size, value or 0, np.uint8)
    if value is None:
        values = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle.create_dataset("a", data=values, chunks=(size,), fletcher32=True)
        handle.flush()
        data = handle["a"].id.read_direct_chunk((0,))[1]
    assert fletcher32(data[:-4]) == data[-4:]


def test_attributes_read_as_h5py_reads_them_but_from_bytes_with_a_checksum(tmp_path: Path) -> None:
    wanted = {"text": "Größe", "whole": 7, "real": 0.1, "flag": True, "long": "x" * 200_000}
    with new_hdf5(tmp_path / "a.h5") as handle:
        create_array(handle, "a", (3,), "f4")[...] = 1
        handle.attrs.update(wanted)
    with h5py.File(tmp_path / "a.h5") as plain, open_hdf5(tmp_path / "a.h5", what="a") as checked:
        assert {key: value for key, value in plain.attrs.items() if key != COPY} == wanted
        assert dict(checked.attrs) == wanted == sealed_attributes(plain.id)
    with h5py.File(tmp_path / "old.h5", "w") as handle:
        handle.attrs["text"] = "old"
    with open_hdf5(tmp_path / "old.h5", what="old") as checked:
        assert dict(checked.attrs) == {"text": "old"}


def test_a_name_that_damage_hides_is_not_taken_for_absent(files: dict[str, Path], tmp_path: Path) -> None:
    """h5py's ``in`` and ``get`` say no where the table of names cannot be read."""
    copy = tmp_path / "modisco.h5"
    shutil.copyfile(files["modisco"], copy)
    damage(copy, copy.read_bytes().index(b"OHDR") + 20, None)
    with open_hdf5(copy, what="motifs") as handle:
        for ask in (lambda: "pos_patterns" in handle, lambda: handle.get("pos_patterns", ())):
            with pytest.raises(StorageError, match=r"modisco\.h5: pos_patterns: cannot be read"):
                ask()
    with h5py.File(tmp_path / "links.h5", "w") as handle:
        handle["soft"], handle["external"] = h5py.SoftLink("/nothing"), h5py.ExternalLink("no.h5", "/x")
        handle["group/item"] = 1
    with open_hdf5(tmp_path / "links.h5", what="links") as handle, h5py.File(handle.filename) as plain:
        for name in ("soft", "external", "group/item", "group/no", "no/item"):
            assert (name in handle) == (name in plain)
        assert handle.get("soft", 7) == 7
        assert handle.get("group/no", 7) == 7
        assert handle["group"].get("item", getclass=True) is h5py.Dataset


def test_what_is_not_there_is_no_damage(files: dict[str, Path]) -> None:
    with open_hdf5(files["attributions"], what="a") as handle:
        with pytest.raises(KeyError):
            handle["nothing"]
        with pytest.raises(IndexError):
            handle["rows"][N]
    assert issubclass(StorageError, CislexError)


def test_an_unreadable_disk_is_told_by_its_error_and_not_by_digits_in_a_path() -> None:
    text = "file read failed: filename = '/data/116/a.h5', errno = 5, error message = 'Input/output error'"
    assert "Input/output error" in reason(OSError(text))
    assert "Stale file handle" in reason(OSError(text.replace("errno = 5,", "errno = 116,")))
    assert ADVICE in reason(OSError(text.replace("errno = 5,", "errno = 2,")))
