"""How the workflow itself grows with regions and chunks; the model is tiny, so that it does not count.

    python benchmarks/scale.py [--quick] [--million] [--only stages,chunks,plan,kernel,files] [--out FILE]

Every stage runs in a process of its own, as in the workflow, so that its peak memory is its own. Sections:

- stages: seconds and memory of index, extract, encode, predict, attribute, aggregate and tracks for 1,000,
  10,000 and 100,000 regions; with ``--million`` of 1,000,000 too, and a dry run of them. ``growth`` is
  the time that a region adds at the last step over what it adds at the step before: 1 is linear;
- chunks: aggregate_chunks of the same rows in 200 and in 10,000 chunks, against a plain copy of the files;
- plan: a dry run of 1,000 and of 10,000 chunks;
- kernel: an attribution job against the bare call on the same regions (a model of some size);
- files: how many an analysis leaves.

Seconds of the processor say more than those of the clock on a busy machine; both are told.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "benchmarks")]

LENGTH, MEGABASES = 200, 20
TINY = """
from torch import nn


def build():
    head = nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(4, 1)
    return nn.Sequential(nn.Conv1d(4, 4, 8), nn.ReLU(), *head)
"""
METHOD = {"name": "saliency"}
TARGETS = {"t": {"kind": "output", "index": 0}}


def stage_inputs(folder: Path, regions: int) -> Callable[[], object]:
    """A random genome, peaks, and the weights of the tiny model."""
    import torch
    from extraction import write_inputs

    (folder / "model.py").write_text(TINY)
    namespace: dict[str, Any] = {}
    exec(TINY, namespace)
    torch.save(namespace["build"]().state_dict(), folder / "w.pt")
    return lambda: write_inputs(folder, megabases=MEGABASES, regions=regions, bgzip=False)


def stage_index(folder: Path) -> Callable[[], object]:
    """index_genome."""
    from cislex.regions.genome import index_genome

    return lambda: index_genome(folder / "genome.fa", folder / "chromosomes.tsv", *_index(folder).values())


def stage_extract(folder: Path) -> Callable[[], object]:
    """extract_regions."""
    from cislex.regions.extraction import RegionOptions, extract_regions

    files = (folder / name for name in ("peaks.narrowPeak", "genome.fa", "regions.bed", "dropped.tsv"))
    # Random peaks of a small genome are often the same; none may be lost.
    options = RegionOptions(length=LENGTH, deduplicate="none")
    return lambda: extract_regions(*files, options=options, **_index(folder))


def stage_encode(folder: Path) -> Callable[[], object]:
    """encode_sequences."""
    from cislex.sequences.store import encode_sequences

    files = (folder / name for name in ("regions.bed", "genome.fa", "s.h5"))
    return lambda: encode_sequences(*files, chromosomes=folder / "chromosomes.tsv", **_index(folder))


def stage_predict(folder: Path) -> Callable[[], object]:
    """predict_regions."""
    from cislex.prediction.predict import predict_regions

    files = (folder / "s.h5", {"f": folder / "w.pt"}, folder / "p.h5", folder / "p.tsv")
    return lambda: predict_regions(*files, wanted=TARGETS, device="cpu", **_model(folder))


def stage_attribute(folder: Path) -> Callable[[], object]:
    """attribute_chunk, all regions in one chunk."""
    from cislex.chunks.attribute import ChunkJob, attribute_chunk

    job = ChunkJob(chunk=0, chunks=1, fold="f", targets=TARGETS, method=METHOD)
    files = (folder / "s.h5", folder / "w.pt", folder / "c.h5")
    return lambda: attribute_chunk(*files, job, model=_model(folder), batch_size=512, device="cpu")


def stage_aggregate(folder: Path) -> Callable[[], object]:
    """aggregate_chunks, of one chunk."""
    from cislex.chunks.aggregate import Gate, aggregate_chunks

    files = (folder / "a.h5", folder / "q.tsv")
    return lambda: aggregate_chunks(
        folder / "s.h5", {"f": [folder / "c.h5"]}, *files, target="t", gate=Gate()
    )


def stage_tracks(folder: Path) -> Callable[[], object]:
    """export_tracks."""
    from cislex.exports.tracks import export_tracks

    return lambda: export_tracks(folder / "a.h5", folder / "genome.fa", folder / "c.bw")


def stage_join(folder: Path) -> Callable[[], object]:
    """aggregate_chunks, of the chunk files in a folder."""
    from cislex.chunks.aggregate import Gate, aggregate_chunks

    chunks = sorted((folder / "chunks").glob("*.h5"), key=lambda path: int(path.stem))
    files = (folder / "a.h5", folder / "q.tsv")
    return lambda: aggregate_chunks(folder / "s.h5", {"f": chunks}, *files, target="t", gate=Gate())


def _index(folder: Path) -> dict[str, Path]:
    return {"fai": folder / "index.fai", "gzi": folder / "index.gzi"}


def _model(folder: Path) -> dict[str, Any]:
    return {"loader": "factory", "module": f"{folder / 'model.py'}:build"}


STAGES = {
    "index": stage_index, "extract": stage_extract, "encode": stage_encode, "predict": stage_predict,
    "attribute": stage_attribute, "aggregate": stage_aggregate, "tracks": stage_tracks,
}  # fmt: skip


def make_chunks(folder: Path, regions: int, number: int) -> Callable[[], object]:
    """Sequences, and chunk files as attribution lays them out."""
    from stages import make_sequences, write_fake_chunks

    (folder / "chunks").mkdir()
    sequences = make_sequences(folder, regions, LENGTH)
    return lambda: write_fake_chunks(folder / "chunks", sequences, LENGTH, number)


def compare_with_bare(folder: Path, regions: int, repeats: int) -> Callable[[], object]:
    """An attribution job against the bare call."""
    from stages import chunk_overhead

    return lambda: chunk_overhead(folder, n=regions, repeats=repeats)


HELPERS = {"inputs": stage_inputs, "join": stage_join, "chunks": make_chunks, "kernel": compare_with_bare}


def work(name: str, folder: Path, numbers: list[int]) -> None:
    """Run one stage in this process and print what it took as JSON; imports do not count."""
    call: Callable[[], object] = {**STAGES, **HELPERS}[name](folder, *numbers)  # type: ignore[operator]
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    result = call()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = {"seconds": seconds, "cpu": cpu, "mb": after.ru_maxrss / 1024}
    print(json.dumps({**found, **(result if isinstance(result, dict) else {})}))


def measure(name: str, folder: Path, *numbers: int) -> dict[str, float]:
    """The same in a new process. This one must stay small: its memory would count as every child's."""
    command = [sys.executable, __file__, "--stage", name, "--folder", str(folder), *map(str, numbers)]
    keep = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(2**32))
    done = subprocess.run(
        command, capture_output=True, text=True,
        env={**os.environ, **keep, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def stages(quick: bool, million: bool) -> dict[str, Any]:
    """Every stage at growing numbers of regions."""
    sizes = [500, 5_000, 20_000] if quick else [1_000, 10_000, 100_000]
    found: dict[str, dict[int, dict[str, float]]] = {name: {} for name in STAGES}
    disk: dict[int, dict[str, float]] = {}
    sizes += [1_000_000] if million else []
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            measure("inputs", folder, size)
            for stage in STAGES:
                found[stage][size] = measure(stage, folder)
            if million and size == sizes[-1]:
                found["dry run"] = {size: dry_run(folder, chunks=10_000)}
            files = {"sequences": "s.h5", "chunk": "c.h5", "attributions": "a.h5", "track": "c.bw"}
            disk[size] = {key: (folder / file).stat().st_size / size / LENGTH for key, file in files.items()}
    print(f"{'stage':12s} {'regions':>9s} {'seconds':>9s} {'processor':>9s} {'MB':>6s}")
    for stage, rows in found.items():
        for size, row in rows.items():
            print(f"{stage:12s} {size:9,d} {row['seconds']:9.2f} {row['cpu']:9.2f} {row['mb']:6.0f}")
    grown = {stage: growth(found[stage], sizes) for stage in STAGES if stage != "index"}
    print("growth of time: " + ", ".join(f"{stage} {value:.2f}" for stage, value in grown.items()))
    print(f"bytes per base at {sizes[-1]:,} regions: {_rounded(disk[sizes[-1]])}")
    return {"measured": found, "growth": grown, "bytes_per_base": disk}


def growth(rows: dict[int, dict[str, float]], sizes: list[int]) -> float:
    """Seconds that a region adds between the last two sizes over those between the first two."""
    first, middle, last = ((size, rows[size]["cpu"]) for size in sizes[-3:])
    steps = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in ((first, middle), (middle, last))]
    return steps[1] / steps[0] if steps[0] > 0 else float("nan")


def chunks(quick: bool) -> dict[str, Any]:
    """The same rows in few and in many chunks."""
    regions, numbers = (5_000, (20, 1_000)) if quick else (20_000, (200, 10_000))
    found = {}
    for number in numbers:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            measure("chunks", folder, regions, number)
            paths = list((folder / "chunks").iterdir())
            size = sum(path.stat().st_size for path in paths) / 1e6
            row = measure("join", folder)
            began = time.perf_counter()
            for path in paths:
                (folder / "copy").write_bytes(path.read_bytes())
            row |= {"copy_seconds": time.perf_counter() - began, "file_mb": size}
            found[number] = row
        print(
            f"{number:6,d} chunks of {regions / number:7,.0f} regions: {row['seconds']:6.1f} s "
            f"({row['cpu']:.1f} s of processor, plain copy {row['copy_seconds']:.1f} s), {row['mb']:.0f} MB, "
            f"{size / row['seconds']:.0f} MB/s of chunk files"
        )
    few, many = (found[number] for number in numbers)
    print(f"memory of many over few chunks: {many['mb'] / few['mb']:.2f}")
    return {"regions": regions, "chunks": found}


def plan(quick: bool) -> dict[str, Any]:
    """Dry runs."""
    found = {}
    for number in (100, 1_000) if quick else (1_000, 10_000):
        with tempfile.TemporaryDirectory() as name:
            found[number] = dry_run(Path(name), chunks=number)
        row = found[number]
        print(
            f"dry run of {number:6,d} chunks: {row['seconds']:.1f} s ({row['cpu']:.1f} s of processor), "
            f"{row['mb']:.0f} MB"
        )
    return found


def dry_run(folder: Path, *, chunks: int) -> dict[str, float]:
    """Time and memory of a dry run; on the peaks of the folder, if there are any."""
    own = folder / "peaks.narrowPeak"
    regions = {"peaks": str(own)} if own.exists() else {"fasta": "s.fa"}
    for name, text in {"model.py": TINY, "w.pt": "", "s.fa": "", "genome.fa": ""}.items():
        if not (folder / name).exists():
            (folder / name).write_text(text)
    model = {"loader": "factory", "module": "model.py:build", "input_length": LENGTH, "folds": {"f": "w.pt"}}
    config = {
        "genome": {"fasta": "genome.fa"},
        "regions": {"mine": {**regions, "chunks": chunks}},
        "models": {"net": model},
        "analyses": {"a": {"regions": "mine", "model": "net", "targets": TARGETS}},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    command = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / "config.yaml")]
    command += ["--dry-run", "--quiet", "--cores", "2"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the dry run failed: {' '.join(command)}")
    seconds, cpu = time.perf_counter() - began, used.ru_utime + used.ru_stime
    return {"seconds": seconds, "cpu": cpu, "mb": used.ru_maxrss / 1024}


def kernel(quick: bool) -> dict[str, float]:
    """An attribution job against the bare call."""
    with tempfile.TemporaryDirectory() as name:
        found = measure("kernel", Path(name), 40 if quick else 200, 3 if quick else 5)
    share = found["chunk_throughput_of_bare"]
    print(f"an attribution job has {share:.0%} of the bare call's throughput (goal: at least 90 %)")
    return found


def files(quick: bool) -> dict[str, int]:
    """Files that stay of an analysis with one fold and one target, without logos."""
    from cislex.cost.estimate import ANALYSIS_FILES, TARGET_FILES

    found = {str(n): 2 * n + ANALYSIS_FILES + TARGET_FILES for n in (1, 200, 10_000)}
    print(f"files of an analysis (one fold, one target), by chunks: {found}; and 3 for each motif")
    return found


def _rounded(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())


SECTIONS = ("stages", "chunks", "plan", "kernel", "files")


def main() -> None:
    """Measure, print, and write a record where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="small sizes: about three minutes")
    parser.add_argument("--million", action="store_true", help="1,000,000 regions, too: ten minutes more")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas between")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("numbers", nargs="*", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        work(options.stage, options.folder, options.numbers)
        return
    unknown = set(options.only.split(",")) - set(SECTIONS)
    if unknown:
        parser.error(f"--only: found {', '.join(sorted(unknown))}, expected some of {', '.join(SECTIONS)}")
    load = os.getloadavg()[0]
    record: dict[str, Any] = {}
    for name in options.only.split(","):
        print(f"\n{name}", flush=True)
        if name == "stages":
            record[name] = stages(options.quick, options.million)
        else:
            section = {"chunks": chunks, "plan": plan, "kernel": kernel, "files": files}[name]
            record[name] = section(options.quick)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        # Imported last: the memory of this process would count as that of its children.
        from attribution import hardware
        from cislex.provenance import versions

        about = {**hardware("cpu"), "load before": load, "load after": os.getloadavg()[0]}
        about |= {"quick": options.quick, "length": LENGTH, "versions": versions()}
        options.out.write_text(json.dumps({**about, **record}, indent=1) + "\n")


if __name__ == "__main__":
    main()
