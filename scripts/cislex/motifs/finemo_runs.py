"""Run Fi-NeMo on the attributions of many regions, in blocks of bounded memory."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from cislex.errors import CislexError, InputError, offenders
from cislex.files.hdf5 import new_hdf5
from cislex.files.scratch import probe_space, scratch_folder
from cislex.files.tied import tied_command, tied_environment
from cislex.files.unpacked_rows import unpack_rows
from cislex.logs import get_logger, progress
from cislex.motifs.files import Motif

#: Values of attributions read at once: 64 MB of float32.
BLOCK_VALUES = 1 << 24
#: Bytes of what Fi-NeMo is given at once (twelve a base: one-hot bytes and half-precision scores); it takes
#: about three times as much.
RUN_BYTES, BASE_BYTES = 1 << 28, 12
#: Bytes of what Fi-NeMo solves at once, and of each base of a region and motif: a dozen float32 arrays, for
#: both strands.
SOLVE_BYTES, SOLVE_BASE_BYTES = 1 << 30, 96
#: What the system and torch say where memory ends.
MEMORY_WORDS = ("MemoryError", "not enough memory", "out of memory", "OutOfMemory", "failed to map")

logger = get_logger("hits")


@dataclasses.dataclass(frozen=True)
class HitSettings:
    """Settings of Fi-NeMo.

    Parameters
    ----------
    sparsity
        Fi-NeMo's lambda (0 to 1): hits less similar to their motif than this are not reported.
    batch_size
        Regions solved at once at most; fewer where they are long or motifs are many, which bounds memory.
    max_steps
        Steps after which a region counts as solved.
    device
        ``cpu``, or ``auto`` for a GPU where there is one. GPU results differ in the last digits.
    window
        Central bp of each region that are searched; None: all.
    """

    sparsity: float = 0.7
    batch_size: int = 500
    max_steps: int = 10000
    device: str = "cpu"
    window: int | None = None


def blocks_of(count: int, length: int) -> Iterator[tuple[int, int]]:
    """First row and the one after the last of blocks of regions that are read at once."""
    step = max(1, BLOCK_VALUES // (4 * length))
    for first in range(0, count, step):
        yield first, min(first + step, count)


def core_margins(motifs: Sequence[Motif]) -> dict[str, tuple[int, int]]:
    """Columns before and after each motif's core that must lie in what is searched, by its name.

    Fi-NeMo places all matrices whole and with the width of the widest, though only cores count: a core of
    columns 21 to 28 of 50 begins at base 21 of what is searched, or later.
    """
    width = max((motif.cwm.shape[1] for motif in motifs), default=0)
    return {motif.name: (motif.start, width - motif.end) for motif in motifs}


def find_hits(
    handle: h5py.File, motifs: Sequence[Motif], place: slice, settings: HitSettings, *, threads: int
) -> pd.DataFrame:
    """Find hits within regions, in positions of the searched window.

    Parameters
    ----------
    handle
        ``attributions.h5``.
    motifs
        What is looked for.
    place
        Positions of each region that are searched: an even number.
    settings
        Settings of Fi-NeMo.
    threads
        Threads of torch.

    Returns
    -------
    DataFrame
        ``row, start, end, motif, strand, hit_coefficient, hit_similarity``.
    """
    count, width = handle["hypothetical"].shape[0], place.stop - place.start
    step = max(1, RUN_BYTES // (BASE_BYTES * width))
    solved = max(1, SOLVE_BYTES // (SOLVE_BASE_BYTES * width * len(motifs)))
    batch = min(settings.batch_size, step, count, solved)
    parts = []
    for first in progress(range(0, count, step), total=count, label="hits", weight=step):
        rows = range(first, min(first + step, count))
        with scratch_folder("hits") as folder:
            part = _run(handle, motifs, rows, place, folder, settings, batch=batch, threads=threads)
        part["row"] += first
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _run(
    handle: h5py.File,
    motifs: Sequence[Motif],
    rows: range,
    place: slice,
    folder: Path,
    settings: HitSettings,
    *,
    batch: int,
    threads: int,
) -> pd.DataFrame:
    """Hits in some of the rows, counted from the first of them."""
    width = place.stop - place.start
    _write_arrays(handle, rows, place, folder)
    _write_motifs(motifs, folder)
    # All regions begin at 0 of one made-up chromosome: hits come back in positions of their region.
    peak = f"regions\t0\t{width}\t.\t0\t.\t0\t0\t0\t{width // 2}\n"
    (folder / "peaks.narrowPeak").write_text(peak * len(rows), encoding="utf-8")
    extract = ["extract-regions-modisco-fmt", "-s", "sequences.npy", "-a", "scores.npy"]
    extract += ["-p", "peaks.narrowPeak", "-o", "regions.npz", "-w", str(width)]
    call = ["call-hits", "-r", "regions.npz", "-m", "motifs.h5", "-o", "hits", "-N", "names.tsv"]
    call += ["-R", "cores.tsv", "-l", str(settings.sparsity), "-S", str(settings.max_steps)]
    call += ["-b", str(min(batch, len(rows)))]
    for arguments in (extract, call):
        _finemo(arguments, folder, settings.device, threads)
    found = pd.read_csv(folder / "hits" / "hits.tsv", sep="\t")
    return found.rename(columns={"peak_id": "row", "motif_name": "motif"})


def _finemo(arguments: Sequence[str], folder: Path, device: str, threads: int) -> None:
    environment = {**tied_environment(), "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    environment["POLARS_MAX_THREADS"] = str(threads)
    environment["HDF5_USE_FILE_LOCKING"] = "FALSE"  # its files are this job's own; TMPDIR may have no locks
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run(
        tied_command("finemo", arguments),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    for line in (done.stdout + done.stderr).splitlines():
        logger.info("finemo: %s", line)
    probe_space(folder / "finemo")  # it may have lost what the disk did not take
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise CislexError(
            f"finemo {arguments[0]} failed with status {done.returncode}: {last}; "
            + _advice(done.returncode, done.stderr)
        )


def _advice(status: int, said: str) -> str:
    if status == -9 or any(word in said for word in MEMORY_WORDS):
        return (
            "out of memory: request more (mem_mb of call_hits), or lower hits: {window: …} or "
            "hits: {batch_size: …}"
        )
    return "see the log above"


def _write_arrays(handle: h5py.File, rows: range, place: slice, folder: Path) -> None:
    """Sequences (int8) and scores (float16), each region scaled to its greatest score.

    Fi-NeMo keeps scores in float16, where small ones vanish, and then scales each region itself, so
    that this scaling changes nothing but the precision. Written as a stream: a full disk is an error here,
    and the end of the process where a file is mapped into memory.
    """
    width = place.stop - place.start
    with open(folder / "sequences.npy", "wb") as sequences, open(folder / "scores.npy", "wb") as scores:
        for file, dtype in ((sequences, np.int8), (scores, np.float16)):
            head = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (len(rows), 4, width)}
            np.lib.format.write_array_header_1_0(file, head)
        for first, last in blocks_of(len(rows), width):
            block = slice(rows.start + first, rows.start + last)
            values = unpack_rows(handle["hypothetical"], block.start, block.stop)[..., place]
            values = values.astype(np.float32, copy=False)
            is_finite = np.isfinite(values).all(axis=(1, 2))
            if not is_finite.all():
                bad = offenders(block.start + np.flatnonzero(~is_finite))
                raise InputError(f"{handle.filename}: attributions are NaN or infinite in rows {bad}")
            greatest = np.abs(values).max(axis=(1, 2), keepdims=True)
            scores.write((values / np.where(greatest > 0, greatest, 1.0)).astype(np.float16).tobytes())
            found = unpack_rows(handle["sequences"], block.start, block.stop)[..., place]
            sequences.write(found.astype(np.int8).tobytes())


def _write_motifs(motifs: Sequence[Motif], folder: Path) -> None:
    """The oriented motifs in modisco-lite's layout, with their cores and names, as Fi-NeMo reads them."""
    width = max(motif.cwm.shape[1] for motif in motifs)
    names, cores = [], []
    with new_hdf5(folder / "motifs.h5") as handle:
        for number, motif in enumerate(motifs):
            kind = "pos_patterns" if motif.sign == "+" else "neg_patterns"
            group = handle.create_group(f"{kind}/pattern_{number}")
            padding = ((0, width - motif.cwm.shape[1]), (0, 0))
            group["contrib_scores"] = np.pad(motif.cwm.T, padding)
            group["hypothetical_contribs"] = np.pad(motif.hypothetical.T, padding)
            group["sequence"] = np.pad(motif.ppm.T, padding, constant_values=0.25)
            names.append(f"{kind}.pattern_{number}\t{motif.name}\n")
            cores.append(f"{motif.name}\t{motif.start}\t{motif.end}\n")
    (folder / "names.tsv").write_text("".join(names), encoding="utf-8")
    (folder / "cores.tsv").write_text("".join(cores), encoding="utf-8")
