"""Memory and time that each job requests: its expected use, with margins.

Expected use follows what a job works on: the sizes of files that exist, else the config; for the model,
what ``inspect_model`` measured. Nothing here enters a result, so a better figure never reruns a job.
The figures were measured on the demo, on the yeast set and by benchmarks/scale.py; ``snakemake
compare_resources`` (``make resources``) holds them against what jobs used.
Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import csv
import functools
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cislex_workflow.config.region_settings import most_left

#: A job asks for this many times the memory (MB) that is expected, and for what Snakemake itself takes in
#: a job of a cluster; never for less than the least.
MEMORY_MARGIN, SNAKEMAKE_MB, LEAST_MB = 1.5, 300, 1000
#: The same for minutes; figures that come from this very model on this very device need less margin.
TIME_MARGIN, MEASURED_TIME_MARGIN, LEAST_MINUTES = 4.0, 2.0, 10
#: Regions of a set whose peak file does not exist yet.
UNKNOWN_REGIONS = 20_000
#: Words of a lexicon or motifs of a MEME file, and records of a FASTA file, that are not counted yet.
UNKNOWN_WORDS, UNKNOWN_BACKGROUNDS = 20, 200
#: Seconds and MB of a job that attributes, before its first region, where they were not measured.
STARTUP_SECONDS, TORCH_MB = 30.0, 600.0
#: Seconds that a job of a batch system takes besides what it does itself.
JOB_SECONDS = 3.0
#: Memory of a process that holds a CUDA context, beside what it computes.
CUDA_MB = 3000.0
#: Bytes read of a file to learn the mean length of its lines.
HEAD = 1 << 16
MB = 1e6


@dataclass(frozen=True)
class Use:
    """What a job is expected to use at most: MB of memory, seconds."""

    mb: float
    seconds: float
    #: Whether the time was measured with this model on this device.
    measured: bool = False


@dataclass(frozen=True)
class Request:
    """What a job asks for at its first attempt: MB of memory, minutes."""

    mem_mb: int
    runtime: int


@dataclass(frozen=True)
class Measured:
    """What an inspection measured, the largest over folds."""

    seconds_per_region: float
    startup_seconds: float
    host_mb: float


def request(use: Use) -> Request:
    """Add the margins; memory in steps of 100 MB."""
    memory = math.ceil((MEMORY_MARGIN * use.mb + SNAKEMAKE_MB) / 100) * 100
    margin = MEASURED_TIME_MARGIN if use.measured else TIME_MARGIN
    minutes = math.ceil(margin * use.seconds / 60)
    return Request(max(LEAST_MB, memory), max(LEAST_MINUTES, minutes))


def size(path: str | Path | None) -> int:
    """Bytes of a file; 0 where there is none yet."""
    try:
        return 0 if path is None else Path(path).stat().st_size
    except OSError:
        return 0


def plain_size(path: str | Path | None) -> float:
    """Bytes of a text file when unpacked, about: DNA and peaks pack to about a quarter."""
    return size(path) * (4.0 if str(path).lower().endswith((".gz", ".bgz")) else 1.0)


def count_lines(path: str | Path) -> int | None:
    """Lines of a plain or gzipped text file, about, from its size and its beginning; None where absent."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return _count_lines(str(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _count_lines(path: str, total: int, _mtime: int) -> int:
    with open(path, "rb") as handle:
        head = handle.read(HEAD)
    read = len(head)
    if head[:2] == b"\x1f\x8b":
        unpacker = zlib.decompressobj(31)
        head = unpacker.decompress(head)
        read -= len(unpacker.unused_data)
    return math.ceil(head.count(b"\n") * total / max(1, read))


def read_inspection(path: str | Path) -> Measured | None:
    """What an inspection measured, or None where it has not run yet."""
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError:
        return None
    return _read_inspection(str(path), changed)


@functools.lru_cache(maxsize=1024)
def _read_inspection(path: str, _mtime: int) -> Measured | None:
    with open(path, encoding="utf-8", newline="") as handle:
        rows = [
            row
            for row in csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row.get("section") == "cost"
        ]
    found: dict[str, float] = {}
    for row in rows:
        try:
            found[row["name"]] = max(found.get(row["name"], 0.0), float(row["value"]))
        except ValueError:
            continue
    if "seconds_per_region" not in found:
        return None
    return Measured(
        found["seconds_per_region"],
        found.get("startup_seconds", STARTUP_SECONDS),
        found.get("host_memory_mb", found.get("peak_memory_mb", TORCH_MB)),
    )


class Work:
    """What jobs work on, from the resolved config and the files that exist.

    Parameters
    ----------
    config
        The complete config.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.results = Path(config["results"])

    def regions(self, name: str) -> int:
        """Regions of a set: of ``regions.bed``, else the rows of its source that may be kept."""
        found = count_lines(self.results / "regions" / name / "regions.bed")
        if found is not None:
            return found
        settings = self.config["regions"][name]
        limit = most_left(settings)
        return self.rows(name) if limit is None else min(self.rows(name), limit)

    def rows(self, name: str) -> int:
        """Rows of the peak file or sequences of the file, about."""
        settings = self.config["regions"][name]
        if settings["peaks"]:
            found = count_lines(settings["peaks"])
            return UNKNOWN_REGIONS if found is None else found
        source = settings["fasta"] or settings["hdf5"]
        letters = plain_size(source) if settings["fasta"] else 4 * size(source)  # at least 2 bits a base
        return math.ceil(letters / self.length(name)) if letters else UNKNOWN_REGIONS

    def length(self, name: str) -> int:
        """Length of the regions of a set in bp."""
        own = self.config["regions"][name]["length"]
        users = [a["model"] for a in self.config["analyses"].values() if a["regions"] == name]
        lengths = [own] if own else [self.config["models"][model]["input_length"] for model in users]
        return int(lengths[0]) if lengths else 1000

    def genome_mb(self) -> float:
        """Size of the genome's letters in MB."""
        genome = self.config["genome"]
        return plain_size(genome["fasta"]) / MB if genome else 0.0

    def measured(self, analysis: str) -> Measured | None:
        """What the inspection of an analysis found."""
        return read_inspection(self.results / analysis / "inspection.tsv")


Expectation = Callable[[Work, Mapping[str, str]], Use]


def _index_genome(work: Work, wildcards: Mapping[str, str]) -> Use:
    return Use(120, 5 + work.genome_mb() / 20)


def _extract_regions(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows = work.rows(wildcards["regions"])
    return Use(120 + 1.5e-3 * rows, 5 + rows / 15_000 + work.genome_mb() / 20)


def _encode_sequences(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = work.regions(wildcards["regions"]), work.length(wildcards["regions"])
    return Use(120 + 0.6e-3 * rows, 5 + rows * length / 4e6 + work.genome_mb() / 20)


def _import_sequences(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = work.rows(wildcards["regions"]), work.length(wildcards["regions"])
    return Use(150 + 1e-3 * rows, 5 + rows * length / 4e6)


#: Time of an epoch over that of the smallest architecture, about.
_ARCHITECTURES = {"cnn": 1.0, "cnn_lstm": 6.0, "bpnet": 20.0}


def _train_model(work: Work, wildcards: Mapping[str, str]) -> Use:
    model = work.config["models"][wildcards["model"]]
    training, length = model["training"], model["input_length"]
    peaks = (training["tasks"] or {}).values() or [(training["signal"] or {}).get("peaks")]
    rows = [count_lines(path) if path else None for path in peaks]
    windows = 3 * sum(UNKNOWN_REGIONS if row is None else row for row in rows)
    bases = windows * length * _ARCHITECTURES.get(training["architecture"], 6.0)
    return Use(600 + 12e-6 * windows * length, 30 + bases * training["epochs"] / 1.5e6)


def _inspect_model(work: Work, wildcards: Mapping[str, str]) -> Use:
    analysis = work.config["analyses"][wildcards["analysis"]]
    folds = work.config["models"][analysis["model"]]["folds"]
    weights = max(size(path) for path in folds.values()) / MB
    length = work.length(analysis["regions"])
    found = work.measured(wildcards["analysis"])
    memory = _model_mb(analysis, weights, length) if found is None else found.host_mb
    return Use(memory, 60 + len(folds) * (60 + 2 * weights + length / 50))


def _model_mb(analysis: Mapping[str, Any], weights_mb: float, length: int) -> float:
    """Memory of a model that attributes, before anything is measured."""
    cuda = 0.0 if analysis["device"] == "cpu" else CUDA_MB
    return TORCH_MB + cuda + 8 * weights_mb + 0.2 * length


def _attribution(work: Work, name: str) -> tuple[Mapping[str, Any], Measured, bool]:
    """An analysis, and what is measured of its model, or guessed."""
    analysis = work.config["analyses"][name]
    found = work.measured(name)
    if found is not None:
        return analysis, found, True
    length = work.length(analysis["regions"])
    folds = work.config["models"][analysis["model"]]["folds"]
    weights = max(size(path) for path in folds.values()) / MB
    seconds = (analysis["method"]["references"]["n"] + 1) * length * 4e-6
    return analysis, Measured(seconds, STARTUP_SECONDS, _model_mb(analysis, weights, length)), False


def _attribute_chunk(work: Work, wildcards: Mapping[str, str]) -> Use:
    analysis, model, measured = _attribution(work, wildcards["analysis"])
    regions = work.config["regions"][analysis["regions"]]
    rows = math.ceil(work.regions(analysis["regions"]) / regions["chunks"])
    # Sequences and results of a block of 4,096 regions wait in memory, with those of every target.
    block = min(rows, 4096) * work.length(analysis["regions"]) * 4e-6
    seconds = JOB_SECONDS + model.startup_seconds + rows * model.seconds_per_region
    return Use(model.host_mb + 2 * block, seconds, measured)


def _predict_regions(work: Work, wildcards: Mapping[str, str]) -> Use:
    analysis, model, measured = _attribution(work, wildcards["analysis"])
    rows = work.regions(analysis["regions"])
    folds = len(work.config["models"][analysis["model"]]["folds"])
    # A forward pass is a part of what one pair of attribution costs.
    forward = model.seconds_per_region / max(1, analysis["method"]["references"]["n"])
    seconds = folds * (model.startup_seconds + rows * forward)
    return Use(model.host_mb + 0.5e-3 * rows, 10 + seconds, measured)


def _evaluate_predictions(work: Work, wildcards: Mapping[str, str]) -> Use:
    analysis = work.config["analyses"][wildcards["analysis"]]
    rows = work.regions(analysis["regions"])
    # 200 resamples are ranked, over all regions and again in parts; signal is read window by window.
    seconds = 20 + len(analysis["targets"]) * rows * (3e-4 + 1e-7 * work.length(analysis["regions"]))
    return Use(350 + 1.5e-3 * rows, seconds)


def _aggregate_chunks(work: Work, wildcards: Mapping[str, str]) -> Use:
    analysis = work.config["analyses"][wildcards["analysis"]]
    rows, length = work.regions(analysis["regions"]), work.length(analysis["regions"])
    folds = len(work.config["models"][analysis["model"]]["folds"])
    files = folds * work.config["regions"][analysis["regions"]]["chunks"]
    memory = 200 + 0.3e-3 * rows + folds * 512 * 20e-6 * length
    return Use(memory, 10 + 0.02 * files + folds * rows * length * 20 / 15e6)


def _gate_attributions(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = _rows(work, wildcards)
    return Use(250 + 0.3e-3 * rows + 20e-6 * length, 10 + rows * length * 20 / 15e6)


def _export_tracks(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = _rows(work, wildcards)
    return Use(250 + 0.5e-3 * rows, 10 + rows * length / 2e6 + work.genome_mb() / 20)


def _rows(work: Work, wildcards: Mapping[str, str]) -> tuple[int, int]:
    """Regions and their length, of the analysis of a job."""
    regions = work.config["analyses"][wildcards["analysis"]]["regions"]
    return work.regions(regions), work.length(regions)


def _find_motifs(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = _rows(work, wildcards)
    settings = work.config["analyses"][wildcards["analysis"]]["motifs"]
    bases = rows * min(length, settings["window"] or length)
    seqlets = min(2 * settings["max_seqlets"], bases / 10)
    return Use(900 + 85e-6 * bases + 0.04 * seqlets, 90 + 0.012 * seqlets + bases / 1e6)


def _annotate_motifs(work: Work, wildcards: Mapping[str, str]) -> Use:
    # Once on every machine, 60 s of compiling.
    return Use(400, 120)


def _call_hits(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = _rows(work, wildcards)
    analysis = work.config["analyses"][wildcards["analysis"]]
    width = min(
        length,
        (analysis.get("hits") or {}).get("window") or (analysis["motifs"] or {}).get("window") or length,
    )
    # Blocks of 256 MB, of which Fi-NeMo makes some copies, and what it solves at once: at most 1 GB.
    blocks = min(36e-6 * rows * width, 900)
    solved = min(96e-6 * min(rows, 500) * width * 40, max(1100, 96e-6 * width * 40))
    return Use(700 + blocks + solved, 60 + rows * width / 40_000)


def _analyse_syntax(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = _rows(work, wildcards)
    # Ten hits a region, of words whose pairs are compared; attributions are read in blocks.
    block = min(8 * rows * length, 20e6) * 16e-6
    return Use(300 + 0.02 * rows + block, 60 + 3e-3 * rows + rows * length / 20e6)


def _call_seqlets(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = _rows(work, wildcards)
    settings = work.config["analyses"][wildcards["analysis"]].get("seqlets") or {}
    width = min(length, settings.get("window") or length)
    # One seqlet in 100 bp is many; a comparison with a database takes 1 ms.
    seqlets = rows * width / 100
    # Once on every machine, 90 s of compiling. Contributions are held once, and read in blocks.
    block = min(16e-6 * rows * width, 600)
    return Use(700 + block + 4e-6 * rows * width + 2e-3 * seqlets, 150 + 2e-6 * rows * width + 2e-3 * seqlets)


def _combine_lexicon(work: Work, wildcards: Mapping[str, str]) -> Use:
    found = [a for a in work.config["analyses"].values() if a["motifs"]]
    # TF-MoDISco finds up to some 40 patterns in a target; pairs of patterns are compared.
    pairs = (40 * sum(len(analysis["targets"]) for analysis in found)) ** 2
    # Once on every machine, 60 s of compiling.
    return Use(400 + 0.3e-3 * pairs, 90 + 20e-6 * pairs)


def _summarise_usage(work: Work, wildcards: Mapping[str, str]) -> Use:
    found = [(a["regions"], len(a["targets"])) for a in work.config["analyses"].values() if a.get("hits")]
    # Tables of hits of one target at a time, of up to some ten hits a region.
    rows = max((work.regions(name) for name, _ in found), default=0)
    targets = sum(number for _, number in found)
    return Use(250 + 8e-3 * rows, 10 + targets * rows * 5e-5)


def _variants(work: Work, name: str) -> tuple[Mapping[str, Any], int]:
    """Settings of a set of variants, and how many there are, about."""
    settings = work.config["variants"][name]
    rows = count_lines(settings["vcf"] or settings["table"])
    return settings, UNKNOWN_REGIONS if rows is None else rows


def _prepare_variants(work: Work, wildcards: Mapping[str, str]) -> Use:
    _, rows = _variants(work, wildcards["variants"])
    return Use(250 + 2e-3 * rows, 10 + rows / 10_000 + work.genome_mb() / 20)


def _score_variants(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings, rows = _variants(work, wildcards["variants"])
    analysis, model, measured = _attribution(work, settings["analysis"])
    windows = 2 * (rows + 2 * settings["null"]) / settings["chunks"] * len(settings["shifts"])
    # A forward pass is a part of what one pair of attribution costs.
    forward = model.seconds_per_region / max(1, analysis["method"]["references"]["n"])
    seconds = 10 + JOB_SECONDS + model.startup_seconds + 2 * windows * forward + rows / 10_000
    return Use(model.host_mb + 2e-3 * rows, seconds, measured)


def _combine_variants(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings, rows = _variants(work, wildcards["variants"])
    targets = len(work.config["analyses"][settings["analysis"]]["targets"])
    return Use(350 + rows * (4e-3 + 1e-3 * targets), 20 + rows * targets / 10_000)


def _insertions(work: Work, name: str) -> tuple[Mapping[str, Any], int]:
    """Settings of an experiment, and how many sequences each fold predicts, about."""
    settings = work.config["insertions"][name]
    words = settings["words"]
    given = len(words) if isinstance(words, list) else UNKNOWN_WORDS if words else 0
    motifs = given + len(settings["motifs"]) + (UNKNOWN_WORDS if settings["meme"] else 0)
    pairs = settings["pairs"] or ()
    pairs = motifs * (motifs + 1) // 2 if isinstance(pairs, str) else len(pairs)
    spacings = settings["spacings"]
    distances = (spacings["to"] - spacings["from"]) // spacings["step"] + 1
    # Each motif of a pair is predicted alone at its place, too.
    constructs = 1 + 2 * motifs + pairs * distances * len(settings["orientations"])
    constructs += min(4 * pairs, 2 * motifs) * 2 * distances
    backgrounds = settings["backgrounds"]["n"] or UNKNOWN_BACKGROUNDS
    sites = settings["sites"] or {"n": 0, "contexts": 0}
    return settings, constructs * backgrounds + motifs * sites["n"] * (1 + 3 * sites["contexts"])


def _prepare_insertions(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings = work.config["insertions"][wildcards["insertion"]]
    genomic = settings["backgrounds"]["kind"] == "genomic"
    rows = work.regions(work.config["analyses"][settings["analysis"]]["regions"])
    return Use(600 + 1e-3 * rows + (work.genome_mb() if genomic else 0), 60 + work.genome_mb() / 10)


def _insert_chunk(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings, sequences = _insertions(work, wildcards["insertion"])
    analysis, model, measured = _attribution(work, settings["analysis"])
    # A forward pass is a part of what one pair of attribution costs.
    forward = model.seconds_per_region / max(1, analysis["method"]["references"]["n"])
    seconds = JOB_SECONDS + model.startup_seconds + 2 * sequences / settings["chunks"] * forward
    return Use(model.host_mb + 300, 10 + seconds, measured)


def _insert_motifs(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings, sequences = _insertions(work, wildcards["insertion"])
    analysis = work.config["analyses"][settings["analysis"]]
    folds = len(work.config["models"][analysis["model"]]["folds"])
    # Predictions of all folds of one target, and a few copies of them.
    return Use(500 + (folds + 8) * sequences * 8e-6, 30 + len(analysis["targets"]) * folds * sequences / 1e6)


def _render_report(work: Work, wildcards: Mapping[str, str]) -> Use:
    pages = [(work.regions(a["regions"]), len(a["targets"])) for a in work.config["analyses"].values()]
    targets = sum(number for _, number in pages)
    return Use(200 + 0.5e-3 * max(rows for rows, _ in pages), 20 + 5 * targets)


def _constant(mb: float, seconds: float) -> Expectation:
    return lambda work, wildcards: Use(mb, seconds)


#: The wildcards of each rule's benchmark files below ``benchmarks/<rule>/``, and what its jobs use.
RULES: dict[str, tuple[tuple[str, ...], Expectation]] = {
    "index_genome": ((), _index_genome),
    "prepare_variants": (("variants",), _prepare_variants),
    "score_variants": (("variants", "fold", "chunk"), _score_variants),
    "combine_variants": (("variants",), _combine_variants),
    "prepare_insertions": (("insertion",), _prepare_insertions),
    "insert_chunk": (("insertion", "fold", "chunk"), _insert_chunk),
    "insert_motifs": (("insertion",), _insert_motifs),
    "extract_regions": (("regions",), _extract_regions),
    "encode_sequences": (("regions",), _encode_sequences),
    "import_sequences": (("regions",), _import_sequences),
    "simulate_genome": ((), _constant(250, 20)),
    "plant_model": ((), _constant(400, 20)),
    "fetch_resources": (("file",), _constant(200, 150)),
    "train_model": (("model", "fold"), _train_model),
    "score_baseline": (("model", "fold"), _constant(600, 120)),
    "inspect_model": (("analysis",), _inspect_model),
    "predict_regions": (("analysis",), _predict_regions),
    "evaluate_predictions": (("analysis",), _evaluate_predictions),
    "attribute_chunk": (("analysis", "fold", "chunk"), _attribute_chunk),
    "aggregate_chunks": (("analysis", "target"), _aggregate_chunks),
    "gate_attributions": (("analysis", "target"), _gate_attributions),
    "export_tracks": (("analysis", "target"), _export_tracks),
    "find_motifs": (("analysis", "target"), _find_motifs),
    "fetch_motif_database": (("database",), _constant(200, 60)),
    "annotate_motifs": (("analysis", "target"), _annotate_motifs),
    "call_hits": (("analysis", "target"), _call_hits),
    "analyse_syntax": (("analysis", "target"), _analyse_syntax),
    "combine_lexicon": ((), _combine_lexicon),
    "summarise_usage": ((), _summarise_usage),
    "compare_grammar": (("analysis", "target"), _constant(400, 30)),
    "call_seqlets": (("analysis", "target"), _call_seqlets),
    "compare_with_truth": (("analysis", "target"), _constant(400, 120)),
    "render_report": ((), _render_report),
    "snapshot_config": ((), _constant(150, 10)),
    "estimate_cost": ((), _constant(250, 60)),
    "check_budget": ((), _constant(150, 10)),
}


def ask(work: Work, rule: str, wildcards: Mapping[str, str]) -> Request:
    """What a job of a rule asks for at its first attempt."""
    return request(RULES[rule][1](work, wildcards))
