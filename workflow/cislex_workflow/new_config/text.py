"""The text of a first config, with comments: what was found, and what is left to fill in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml
from cislex.inquiry.lengths import Lengths
from cislex.inquiry.model import MOST_TARGETS, ModelFacts
from cislex.inquiry.regions import RegionFacts
from cislex.wording import counted

from cislex_workflow.new_config.given import Given

#: What marks a line that only the user can complete.
OPEN = "TO FILL IN"
#: Minutes of an attribution job for which chunks are suggested, as ``make estimate`` does by default.
JOB_MINUTES = 30
#: Column in which comments begin.
_COLUMN = 46


class Lines:
    """Lines of YAML with comments."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, depth: int, text: str, comment: str = "") -> None:
        """A line at a depth, perhaps with a comment in its column."""
        line = "  " * depth + text
        self.lines.append(f"{line.ljust(_COLUMN)}  # {comment}" if comment else line)

    def open(self, depth: int, text: str, comment: str) -> None:
        """A commented line that only the user can complete."""
        self.add(depth, f"# {text}", f"{OPEN}: {comment}")

    def offer(self, depth: int, text: str, comment: str = "") -> None:
        """A commented line that the user may want."""
        self.add(depth, f"# {text}", comment)


def flow(value: Any) -> str:
    """A value in YAML on one line."""
    text: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf
    )
    return text.removesuffix("...\n").strip()


def config_text(
    given: Given,
    model: ModelFacts | None,
    regions: RegionFacts,
    *,
    commands: Mapping[str, str],
    candidates: tuple[str, ...] = (),
) -> str:
    """The text of the config.

    Parameters
    ----------
    given
        What the user gave.
    model, regions
        What was found out; the model is None where none was given.
    commands
        What to run next, by purpose.
    candidates
        ``file.py:function`` beside the weights that may build the model.
    """
    out = Lines()
    out.add(0, f"# {given.name}: written by `make new`. Every key: config/README.md of cislex.")
    out.add(0, f"# Lines marked {OPEN} could not be found out: complete them and remove the first #.")
    for purpose, command in commands.items():
        out.add(0, f"# {purpose}: {command}")
    out.add(0, f"results: {flow(f'results/{given.name}')}")
    if regions.assembly:
        out.add(0, f"report: {{assembly: {regions.assembly}}}", "loci link to the UCSC Genome Browser")
    else:
        out.offer(0, "report: {assembly: hg38}", "assembly at the UCSC Genome Browser, to which loci link")
    _genome(out, given, regions)
    _regions(out, given, model, regions)
    _model(out, given, model, candidates)
    _analysis(out, model, regions)
    return "\n".join(out.lines) + "\n"


def _genome(out: Lines, given: Given, regions: RegionFacts) -> None:
    out.add(0, "")
    out.add(0, "genome:")
    if given.genome is None:
        out.open(1, "fasta: genome.fa", "plain or bgzip-compressed FASTA")
    else:
        name = f"{regions.assembly}: " if regions.assembly else ""
        size = f"{counted(len(regions.genome), 'sequence')}, {sum(regions.genome.values()):,} bp"
        out.add(1, f"fasta: {flow(given.genome)}", name + size)
    if regions.aliases:
        out.add(1, f"aliases: {flow(given.named(given.aliases))}", alias_words(regions))
    elif regions.lost and regions.lost == regions.peaks:
        out.open(
            1, "aliases: names.tsv", f"{unknown_words(regions)}; a table of alias and name, tab-separated"
        )
    out.offer(1, "blacklist: blacklist.bed", "regions that overlap one of its intervals are dropped")


def _regions(out: Lines, given: Given, model: ModelFacts | None, regions: RegionFacts) -> None:
    out.add(0, "")
    out.add(0, "regions:")
    out.add(1, "peaks:")
    if given.peaks is None:
        out.open(2, "peaks: peaks.narrowPeak", "BED3 to BED12, narrowPeak or summits, plain or gzip")
    else:
        centre = "windows centred on their summits" if regions.summits else "no summits: centred on midpoints"
        found = f"{regions.format}, {counted(regions.peaks, 'peak')}; {centre}"
        out.add(2, f"peaks: {flow(given.peaks)}", found)
        out.add(2, f"format: {regions.format}")
    if regions.malformed:
        out.add(2, "malformed: drop", f"rows that cannot be used: {regions.malformed:,}; error: refuse them")
    mitochondria = [name for name in ("chrM", "chrMT", "MT", "M") if name in regions.genome]
    out.offer(2, f"exclude_chromosomes: [{(mitochondria or ['chrM'])[0]}]", "chromosomes to leave out")
    seconds = model.seconds_per_region if model else None
    if seconds is not None and regions.peaks:
        chunks = suggest_chunks(regions.peaks, seconds)
        pace = f"about {max(seconds, 0.001):.2g} s per region here"
        out.add(2, f"chunks: {chunks}", f"jobs per fold; {pace}, so jobs of at most {JOB_MINUTES} minutes")
    else:
        out.add(2, "chunks: 1", "jobs per fold; `make estimate` suggests how many")


def suggest_chunks(peaks: int, seconds: float, *, minutes: float = JOB_MINUTES) -> int:
    """Jobs per fold that let each last about ``minutes``, as ``cislex.cost.estimate`` does.

    Parameters
    ----------
    peaks
        Number of regions.
    seconds
        Time for one of them.
    minutes
        Intended duration of a job.
    """
    return max(1, min(peaks, math.ceil(peaks * seconds / (60 * minutes))))


def _model(out: Lines, given: Given, model: ModelFacts | None, candidates: tuple[str, ...]) -> None:
    out.add(0, "")
    out.add(0, "models:")
    out.add(1, "net:")
    if model is None:
        out.open(2, "loader: factory", "how the weights are read: docs/models.md, Which loader")
        out.open(2, "module: my_model.py:build", "the function that builds the model (loader: factory)")
        out.open(2, "input_length: …", "bp; also the length of the regions")
        out.open(2, "folds: {fold_0: fold_0.pt}", "the weights file of each fold")
        return
    out.add(2, f"loader: {model.kind.loader}", "found from the weights file")
    for key, value in model.kind.options.items():
        out.add(2, f"{key}: {flow(value)}", _OPTION_WORDS.get(key, ""))
    if "trust_pickle" in model.kind.missing:
        out.open(2, "trust_pickle: true", f"{model.kind.missing['trust_pickle']}; if you trust its source")
    if "module" in model.kind.missing:
        beside = f"; beside it: {', '.join(candidates)}" if candidates else ""
        example = candidates[0] if candidates else "my_model.py:build"
        out.open(2, f"module: {flow(example)}", f"{model.kind.missing['module']}{beside}")
    if model.length is not None:
        source = "as given" if given.length else "found from the model"
        out.add(2, f"input_length: {model.length}", f"bp, {source}; also the length of the regions")
    else:
        # No number: one that happens to work would be taken for the right one.
        out.open(2, "input_length: …", f"bp; {length_words(model.lengths)}")
    out.add(2, "folds:")
    for fold, path in model.folds.items():
        out.add(3, f"{flow(fold)}: {flow(str(path))}")
    if len(model.folds) > 1:
        out.offer(2, f"held_out: {{{next(iter(model.folds))}: [chr1], …}}",
                  "chromosomes that each fold did not see; then also fold_use: held_out")  # fmt: skip


_OPTION_WORDS = {
    "part": "the file holds both parts; nobias: without the enzyme's bias",
    "hyperparameters": "sigmoid: false: the logits, which do not saturate",
}


def _analysis(out: Lines, model: ModelFacts | None, regions: RegionFacts) -> None:
    out.add(0, "")
    out.add(0, "analyses:")
    out.add(1, "main:")
    out.add(2, "regions: peaks")
    out.add(2, "model: net")
    out.add(2, "targets:", shape_words(model))
    for name, settings in (model.targets if model else {}).items():
        out.add(3, f"{name}: {flow(dict(settings))}")
    for name, settings in (model.choices if model else {}).items():
        add = out.offer if model and model.targets else out.open
        add(3, f"{name}: {flow(dict(settings))}", "docs/methods.md, Targets")
    if model is None or not (model.targets or model.choices):
        out.open(3, "output: {kind: output, index: 0}", "the outputs to attribute: docs/methods.md, Targets")
    elif first := more_outputs(model):
        out.offer(3, f"another: {flow({**first, 'index': 1})}", "one line for each output that you want")
    if model and model.method:
        out.add(2, f"method: {{name: {model.method}}}", "TorchScript hides its operations from DeepLIFT")
    else:
        out.offer(
            2, "method: {references: {n: 20}}", "DeepLIFT/SHAP with 20 shuffles per region, the default"
        )
    group, known = regions.group or "vertebrates", "found from the genome"
    words = known if regions.group else "CHECK: jaspar-vertebrates, -plants, -fungi, -insects, -nematodes, …"
    out.add(2, f"motifs: {{database: jaspar-{group}}}", words)
    out.add(2, "hits: {}", "occurrences of the words, and their syntax")
    out.offer(2, "seqlets: {}", "seqlets of single regions (rare motifs)")


def more_outputs(model: ModelFacts) -> dict[str, Any] | None:
    """The target of the first of many outputs, of which not all became one."""
    first = next(iter(model.targets.values()), None)
    columns = max((shape[0] for shape in model.outputs.values() if len(shape) == 1), default=0)
    return dict(first) if first and first["kind"] == "output" and columns > MOST_TARGETS else None


def shape_words(model: ModelFacts | None) -> str:
    """The outputs of the model, as an inspection shows them."""
    if not model or not model.outputs:
        return ""
    shapes = [f"{name} {' × '.join(map(str, ('N', *shape)))}" for name, shape in model.outputs.items()]
    return f"the model returns {', '.join(shapes)}"


def length_words(lengths: Lengths | None) -> str:
    """What is known of the lengths that a model takes."""
    if lengths is None:
        return "the length on which the model was trained"
    if lengths.most is None:
        return "the model takes sequences of any length: the one on which it was trained"
    return f"the model takes {lengths.least:,} to {lengths.most:,} bp: the length on which it was trained"


def alias_words(regions: RegionFacts) -> str:
    """Which names of chromosomes are mapped."""
    alias, name = next(iter(regions.aliases.items()))
    return f"the peaks have {alias}, the genome {name}: {counted(len(regions.aliases), 'name')} mapped"


def unknown_words(regions: RegionFacts) -> str:
    """Which chromosomes of the peaks the genome lacks."""
    left = [name for name in regions.unknown if name not in regions.aliases]
    return f"the peaks have {', '.join(left[:3])}, the genome {', '.join(list(regions.genome)[:3])}"
