"""The stages as jobs run them, on a small disk that is nearly full: a program that the tests start.

``python stages.py DISK WORK STAGE LEVEL…`` runs a stage in a process of its own for each level, which is
the number of bytes that are free on DISK (a small tmpfs), and prints what became of it, one JSON line each.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from table_stages import TABLE_STAGES, make_tables

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LENGTH, N = 256, 400
#: The folder of this user that lasts.
CACHES = ("cislex-cache",)
TARGETS = {"first": {"kind": "output", "index": 0}, "second": {"kind": "output", "index": 1}}
SETTINGS = {"tasks": 2, "input_length": LENGTH, "filters": 4}
METHOD = {
    "name": "deep_lift_shap", "rule": "rescale", "steps": 50, "unknown_ops": "error",
    "references": {"kind": "dinucleotide_shuffle", "n": 2, "seed": 0},
}  # fmt: skip


def make_inputs(work: Path) -> None:
    """A genome, peaks, regions, weights, chunks, attributions and motifs, each by the stage that makes it."""
    import h5py
    import numpy as np
    import torch
    from cislex.models.architectures import build
    from cislex.training.train import save_checkpoint

    rng = np.random.default_rng(0)
    letters = ["".join("ACGT"[base] for base in rng.integers(0, 4, 60_000)) for _ in range(2)]
    (work / "genome.fa").write_text("".join(f">chr{i}\n{text}\n" for i, text in enumerate(letters)))
    starts = np.sort(rng.choice(500, N // 2, replace=False)) * 100 + 3000
    peaks = [f"chr{i}\t{start}\t{start + 100}\tp{i}_{start}\n" for i in range(2) for start in starts]
    (work / "peaks.bed").write_text("".join(peaks))
    barred = [f"chr{i}\t{start}\t{start + 1}\n" for i in range(2) for start in range(0, 60_000, 3000)]
    (work / "barred.bed").write_text("".join(barred))
    (work / "direct.fa").write_text("".join(f">s{i}\n{letters[0][i : i + LENGTH]}\n" for i in range(N)))
    torch.manual_seed(0)
    model = build("cnn", **SETTINGS)
    weights = work / "weights.pt"
    save_checkpoint(model, weights, architecture="cnn", hyperparameters=SETTINGS, tasks=["a", "b"])
    for stage in (
        "index_genome",
        "extract_regions",
        "encode_sequences",
        "attribute_chunk",
        "aggregate_chunks",
    ):
        STAGES[stage](work, work)
    with h5py.File(work / "modisco.h5", "w") as handle:
        pattern = handle.create_group("pos_patterns/pattern_0")
        site = np.eye(4)[[2, 0, 1, 3, 3, 1, 0, 2] * 4]
        pattern["sequence"], pattern["contrib_scores"] = site, site
        pattern["hypothetical_contribs"] = site - 0.25
        pattern["seqlets/n_seqlets"], pattern["seqlets/sequence"] = np.array([30]), np.stack([site] * 30)
    (work / "known.meme").write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 PLANTED\nletter-probability matrix: alength= 4 w= 8\n"
        + "".join(f"{'.97 .01 .01 .01' if i % 2 else '.01 .01 .97 .01'}\n" for i in range(8))
    )
    make_tables(work)
    for stage in ("predict_regions", "inspect_model", "train_model"):
        STAGES[stage](work, work)


def index_genome(work: Path, out: Path) -> None:
    from cislex.regions.genome import index_genome

    index_genome(work / "genome.fa", out / "chromosomes.tsv", out / "genome.fai", out / "genome.gzi")


def extract_regions(work: Path, out: Path) -> None:
    from cislex.regions.extraction import RegionOptions, extract_regions

    extract_regions(
        work / "peaks.bed", work / "genome.fa", out / "regions.bed", out / "dropped.tsv",
        options=RegionOptions(length=LENGTH), blacklist=work / "barred.bed",
    )  # fmt: skip


def encode_sequences(work: Path, out: Path) -> None:
    from cislex.sequences.store import encode_sequences

    encode_sequences(work / "regions.bed", work / "genome.fa", out / "sequences.h5")


def import_sequences(work: Path, out: Path) -> None:
    from cislex.sequences.importing import import_sequences

    import_sequences(
        work / "direct.fa", out / "regions.bed", out / "dropped.tsv", out / "sequences.h5", length=LENGTH
    )


def predict_regions(work: Path, out: Path) -> None:
    from cislex.prediction.predict import predict_regions

    predict_regions(
        work / "sequences.h5", {"a": work / "weights.pt", "b": work / "weights.pt"}, out / "predictions.h5",
        out / "predictions.tsv", wanted=TARGETS, loader="trained", device="cpu", batch_size=8,
    )  # fmt: skip


def attribute_chunk(work: Path, out: Path) -> None:
    from cislex.chunks.attribute import ChunkJob, attribute_chunk

    job = ChunkJob(chunk=0, chunks=1, fold="a", targets=TARGETS, method=METHOD)
    model = {"loader": "trained"}
    attribute_chunk(
        work / "sequences.h5", work / "weights.pt", out / "chunk.h5", job, model=model, device="cpu"
    )


def aggregate_chunks(work: Path, out: Path) -> None:
    from cislex.chunks.aggregate import aggregate_chunks
    from cislex.chunks.gate import Gate

    chunks = {"a": [work / "chunk.h5"]}
    gate = Gate(on_fail="keep")
    aggregate_chunks(
        work / "sequences.h5", chunks, out / "attributions.h5", out / "qc.tsv", target="first", gate=gate
    )


def export_tracks(work: Path, out: Path) -> None:
    from cislex.exports.tracks import export_tracks

    export_tracks(work / "attributions.h5", work / "genome.fa", out / "contributions.bw")


def find_motifs(work: Path, out: Path) -> None:
    from cislex.motifs.discovery import ModiscoSettings, find_motifs

    settings = ModiscoSettings(max_seqlets=300, min_metacluster_size=20)
    find_motifs(work / "attributions.h5", out / "modisco.h5", settings, threads=1)


def annotate_motifs(work: Path, out: Path) -> None:
    from cislex.motifs.annotation import annotate_motifs

    made = (out / "motifs.tsv", out / "motifs.meme", out / "logos")
    annotate_motifs(work / "modisco.h5", work / "known.meme", *made)


def call_hits(work: Path, out: Path) -> None:
    from cislex.motifs.hits import HitSettings, call_hits

    call_hits(
        work / "attributions.h5", work / "modisco.h5", out / "hits.bed.gz", HitSettings(), analysis="demo"
    )


def simulate_genome(work: Path, out: Path) -> None:
    from cislex.demo.simulation import ASSAYS, SimulationOptions, simulate_genome

    options = SimulationOptions(chromosomes=2, chromosome_length=60_000, peaks_per_assay=20)
    peaks = {assay: out / f"{assay}.narrowPeak" for assay in ASSAYS}
    simulate_genome(out / "made.fa", peaks, out / "truth.tsv", out / "planted.meme", options=options)


#: Each stage by name; it reads from one folder and writes into another.
STAGES: dict[str, Callable[[Path, Path], None]] = {
    stage.__name__: stage
    for stage in (
        index_genome, extract_regions, encode_sequences, import_sequences, predict_regions, attribute_chunk,
        aggregate_chunks, export_tracks, find_motifs, annotate_motifs, call_hits, simulate_genome,
        *TABLE_STAGES,
    )
}  # fmt: skip


def run_job(stage: str, work: Path, disk: Path, screen: Path) -> None:
    """Run a stage as a job does, its log on the small disk, and end the process."""
    descriptor = os.open(screen, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    signal.alarm(100)
    tempfile.tempdir = os.environ["TMPDIR"] = str(disk / "tmp")
    status = 1
    try:
        from cislex.runtime.jobs import begin

        begin(disk / "log" / "job.log")
        STAGES[stage](work, disk / "out")
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def try_level(stage: str, work: Path, disk: Path, free: int | None) -> dict[str, object]:
    """Run a stage with so many bytes free (all, without a number); tell what it left and said."""
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("tmp", "out", "log"):
        (disk / name).mkdir()
    if free is not None:
        here = os.statvfs(disk)
        with open(disk / "filler", "wb") as handle:
            os.posix_fallocate(handle.fileno(), 0, max(1, here.f_bavail * here.f_frsize - free))
    screen = work / "screen.txt"
    child = os.fork()
    if child == 0:
        run_job(stage, work, disk, screen)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    log = disk / "log" / "job.log"
    said = (log.read_text() if log.exists() else "") + screen.read_text()
    out = sorted(path for path in (disk / "out").rglob("*") if path.is_file())
    digests = {str(path.relative_to(disk)): hashlib.md5(path.read_bytes()).hexdigest() for path in out}
    left = sorted(p.name for p in (disk / "tmp").iterdir() if not p.name.startswith(CACHES))
    size = sum(path.stat().st_size for path in out)
    return {
        "free": free,
        "status": status,
        "said": said[-3000:],
        "files": digests,
        "left": left,
        "size": size,
    }


def main(disk: Path, work: Path, stage: str, levels: list[str]) -> None:
    sys.path.insert(0, str(SCRIPTS))
    import h5py  # noqa: F401  (what all stages load is loaded once, before the jobs are forked)
    import pandas  # noqa: F401
    import torch

    torch.set_num_threads(1)
    if not (work / "modisco.h5").exists():
        make_inputs(work)
    for level in levels:
        print(json.dumps(try_level(stage, work, disk, None if level == "all" else int(level))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
