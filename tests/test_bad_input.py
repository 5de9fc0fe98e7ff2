"""The matrix of bad input: what users give by mistake, what they must read, and when.

The tables are in ``bad_inputs/``: one row per fault, with the file, the parts of the message, and whether a
run is refused before its first job (``plan``) or a job fails (``job``). Files that only look odd are rows,
too, with the number of rows that are kept and dropped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from bad_inputs import arrays, configs, genomes, models, peaks, variants_and_motifs
from bad_inputs.case import (
    ROOT,
    SCHEMA,
    Bad,
    Good,
    blocked,
    genome,
    minimal,
    packed,
    plan,
    project,
    resolved,
    unfinished,
    unreadable,
    write,
)
from cislex.errors import CislexError
from cislex.models.loading import check_model, load_model
from cislex.motifs.databases import fetch_motif_database
from cislex.motifs.files import read_meme
from cislex.regions.extraction import RegionOptions, extract_regions, read_regions_bed
from cislex.regions.genome import CODES, UNKNOWN, Genome, index_genome
from cislex.runtime.jobs import tell
from cislex.sequences.importing import import_sequences
from cislex.sequences.store import SequenceStore
from cislex.variants.checked import prepare_variants
from cislex.variants.windows import WindowOptions
from cislex_workflow.checks import before_start
from cislex_workflow.config import configuration, yaml_files


def by_name(rows: list[Any]) -> pytest.MarkDecorator:
    """One test for each row of a table."""
    return pytest.mark.parametrize("row", rows, ids=str)


class Stage:
    """A job in a folder: what its log says where it fails, and what it leaves."""

    def __init__(self, run: Callable[[Path], object], capsys: pytest.CaptureFixture[str]) -> None:
        self.run, self.capsys = run, capsys

    def refuses(self, where: Path) -> str:
        """Run it; return the one error that it prints."""
        results = where / "results"
        with pytest.raises(CislexError) as caught:
            self.run(results)
        self.capsys.readouterr()
        tell(caught.type, caught.value, caught.tb)
        said = self.capsys.readouterr().err
        assert said.startswith(f"{caught.type.__name__}: ")
        assert "Traceback" not in said
        assert unfinished(results) == []
        return said


def check(row: Bad, where: Path, config: dict[str, Any], stage: Stage | None) -> None:
    """A row is refused when it says, in its words; a job of its own refuses it in any case."""
    said = plan(where, config)
    if row.when == "job":
        assert said == ""
    if stage is not None:
        found = stage.refuses(where)
        said = found if row.when == "job" else said
    assert len([line for line in said.splitlines() if line.startswith("  ")]) <= 1, "one error"
    for part in row.told:
        assert part in said


def extraction(where: Path, name: str, **options: Any) -> Callable[[Path], pd.DataFrame]:
    def run(results: Path) -> pd.DataFrame:
        chosen = RegionOptions(length=40, **options)
        places = (results / "regions.bed", results / "dropped.tsv")
        return extract_regions(where / name, where / "genome.fa", *places, options=chosen)

    return run


@by_name(peaks.BAD)
def test_peak_files_that_are_refused(row: Bad, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(tmp_path) / "peaks.bed"
    stage = Stage(extraction(tmp_path, "peaks.bed"), capsys)
    if row.content == "locked":
        with unreadable(path) as works:
            if not works:
                pytest.skip("this user may read every file")
            check(row, tmp_path, resolved(minimal()), stage)
        return
    path.unlink()
    write(path, row.content)
    check(row, tmp_path, resolved(minimal()), stage)


@by_name(peaks.GOOD)
def test_peak_files_that_are_read(row: Good, tmp_path: Path) -> None:
    name = row.name or "peaks.bed"
    (project(tmp_path) / "peaks.bed").unlink()
    write(tmp_path / name, row.content() if row.form == "a million rows" else row.content)
    config = minimal()
    config["regions"]["mine"] = {"peaks": name, **row.options}
    assert plan(tmp_path, resolved(config)) == ""
    kept = extraction(tmp_path, name, **row.options)(tmp_path / "results")
    dropped = pd.read_csv(tmp_path / "results" / "dropped.tsv", sep="\t", keep_default_na=False)
    assert len(kept) == len(read_regions_bed(tmp_path / "results" / "regions.bed")) == row.kept
    assert dropped["reason"].value_counts().to_dict() == row.dropped
    lines = [*kept["source_line"], *dropped["source_line"]]
    assert len(set(lines)) == len(lines) == row.kept + sum(row.dropped.values()), "kept + dropped = read"


def index(path: Path, results: Path) -> None:
    results.mkdir(exist_ok=True)
    index_genome(path, *(results / name for name in ("chromosomes.tsv", "genome.fai", "genome.gzi")))


@by_name(genomes.BAD)
def test_genomes_that_are_refused(row: Bad, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = row.name or "genome.fa"
    (project(tmp_path) / "genome.fa").unlink()
    write(tmp_path / name, row.content)
    config = minimal()
    config["genome"]["fasta"] = name
    check(row, tmp_path, resolved(config), Stage(lambda results: index(tmp_path / name, results), capsys))


def codes_of(path: Path, **files: Path) -> dict[str, list[int]]:
    with Genome(path, **files) as opened:
        return {name: opened.codes(name, 0, size).tolist() for name, size in opened.lengths.items()}


TRUE_CODES = {
    name: CODES[np.frombuffer(letters.encode(), np.uint8)].tolist()
    for name, letters in (("chr1", genomes.ONE), ("chr2", genomes.TWO))
}


@pytest.mark.parametrize("form", genomes.GOOD)
def test_genomes_that_are_read(form: str, tmp_path: Path) -> None:
    name, content = genomes.GOOD[form]
    (project(tmp_path) / "genome.fa").unlink()
    path = write(tmp_path / name, content)  # type: ignore[arg-type]
    config = minimal()
    config["genome"]["fasta"] = name
    assert plan(tmp_path, resolved(config)) == ""
    index(path, tmp_path / "made")
    assert (
        codes_of(path, fai=tmp_path / "made" / "genome.fai", gzi=tmp_path / "made" / "genome.gzi")
        == TRUE_CODES
    )


@pytest.mark.parametrize("form", genomes.UNKNOWN)
def test_ambiguous_letters_are_unknown_bases(form: str, tmp_path: Path) -> None:
    letters = genomes.UNKNOWN[form]
    path = write(tmp_path / "genome.fa", f">chr1\n{letters}\n>empty\n>chr2\nAC\n")
    index(path, tmp_path / "made")
    assert codes_of(path) == {"chr1": [UNKNOWN] * len(letters), "empty": [], "chr2": [0, 1]}


@pytest.mark.parametrize("fault", genomes.INDEXES)
@pytest.mark.parametrize("compressed", [False, True])
def test_an_index_that_does_not_fit_is_not_used(fault: str, compressed: bool, tmp_path: Path) -> None:
    import os

    name = "genome.fa.gz" if compressed else "genome.fa"
    path = write(tmp_path / name, blocked(genome()) if compressed else genome())
    text, is_older = genomes.INDEXES[fault]
    if text is not None:
        beside = write(Path(f"{path}.fai"), text)
        os.utime(beside, (1, 1) if is_older else None)
    assert codes_of(path) == TRUE_CODES


@by_name(arrays.BAD)
def test_arrays_that_are_refused(row: Bad, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = row.name or "x.h5"
    write(project(tmp_path) / name, row.content)
    config = minimal()
    dataset = None if name.endswith(".npy") else "x"
    config["regions"]["mine"] = {"hdf5": name, "dataset": dataset}

    def run(results: Path) -> None:
        places = [results / part for part in ("regions.bed", "dropped.tsv", "sequences.h5")]
        import_sequences(tmp_path / name, *places, dataset=dataset, length=arrays.LENGTH, is_hdf5=True)

    check(row, tmp_path, resolved(config), Stage(run, capsys))


@by_name(arrays.BAD_SIGNAL)
def test_signal_that_is_refused(row: Bad, tmp_path: Path) -> None:
    write(project(tmp_path) / "s.bw", row.content)
    config = minimal()
    config["analyses"]["first"]["labels"] = {"t": {"bigwig": "s.bw"}}
    check(row, tmp_path, resolved(config), None)


@pytest.mark.parametrize("form", arrays.GOOD)
def test_arrays_that_are_read(form: str, tmp_path: Path) -> None:
    name, content, selection, dropped = arrays.GOOD[form]
    write(tmp_path / name, content)
    places = [tmp_path / part for part in ("regions.bed", "dropped.tsv", "sequences.h5")]
    kept = import_sequences(tmp_path / name, *places, length=arrays.LENGTH, is_hdf5=True, selection=selection)
    assert kept == len(read_regions_bed(places[0])) == len(arrays.CODES)
    lost = pd.read_csv(places[1], sep="\t")
    assert lost["reason"].value_counts().to_dict() == dropped
    with SequenceStore(places[2]) as store:
        np.testing.assert_array_equal(store.read().argmax(axis=1), arrays.CODES)


def preparation(where: Path, name: str) -> Callable[[Path], object]:
    def run(results: Path) -> None:
        # The table of dropped alleles is there where none is left: it says why.
        places = (results / "alleles.tsv", where / "dropped.tsv")
        prepare_variants(where / name, where / "genome.fa", *places, windows=WindowOptions(length=40))

    return run


@by_name(variants_and_motifs.BAD_VARIANTS)
def test_variants_that_are_refused(row: Bad, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project(tmp_path) / "own.vcf", row.content)
    config = {**minimal(), "variants": {"own": {"analysis": "first", "vcf": "own.vcf"}}}
    check(row, tmp_path, resolved(config), Stage(preparation(tmp_path, "own.vcf"), capsys))


@pytest.mark.parametrize(
    ("form", "name", "content", "kept", "dropped"),
    variants_and_motifs.GOOD_VARIANTS,
    ids=[row[0] for row in variants_and_motifs.GOOD_VARIANTS],
)
def test_variants_that_are_read(
    form: str, name: str, content: Any, kept: int, dropped: dict[str, int], tmp_path: Path
) -> None:
    write(project(tmp_path) / name, content)
    preparation(tmp_path, name)(tmp_path)
    alleles = pd.read_csv(tmp_path / "alleles.tsv", sep="\t")
    lost = pd.read_csv(tmp_path / "dropped.tsv", sep="\t")
    assert (len(alleles), lost["reason"].value_counts().to_dict()) == (kept, dropped)
    assert (alleles["start"] == 100).all()


@by_name(variants_and_motifs.BAD_MOTIFS)
def test_motifs_that_are_refused(row: Bad, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(project(tmp_path) / "own.meme", row.content)
    config = minimal()
    config["analyses"]["first"]["motifs"] = {"database": "own.meme"}
    config["models"]["net"]["input_length"] = 60
    stage = Stage(lambda results: fetch_motif_database(str(path), results / "known.meme"), capsys)
    check(row, tmp_path, resolved(config), stage)


@pytest.mark.parametrize(("form", "content", "count"), variants_and_motifs.GOOD_MOTIFS)
def test_motifs_that_are_read(form: str, content: Any, count: int, tmp_path: Path) -> None:
    motifs = read_meme(write(tmp_path / "own.meme", content))
    assert [motif.identifier for motif in motifs] == ["M1"] * count
    np.testing.assert_allclose(motifs[0].ppm[:, 0], [0.1, 0.2, 0.3, 0.4])


@by_name(models.BAD)
@pytest.mark.filterwarnings("ignore:.*TypedStorage is deprecated")
def test_models_that_are_refused(
    row: Bad, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project(tmp_path))
    name = row.name or "f0.pt"
    (tmp_path / "f0.pt").unlink()
    (tmp_path / "model.py").write_text(models.CODE)
    write(tmp_path / name, row.content)
    config, options = minimal(), dict(row.options)
    if options.pop("saliency", False):
        config["analyses"]["first"]["method"] = {"name": "saliency"}
    config["models"]["net"] |= {"folds": {"f0": name}, **options}
    if row.fault in ("pickled without trust", "TorchScript with DeepLIFT"):  # the config alone tells
        with pytest.raises(configuration.ConfigurationError) as raised:
            resolved(config)
        assert all(part in str(raised.value) for part in row.told)
        return
    full = resolved(config)
    model = full["models"]["net"]

    def run(results: Path) -> None:
        loaded = load_model(weights=name, **configuration.model_options(model))
        check_model(loaded, model["input_length"])

    check(row, tmp_path, full, Stage(run, capsys))


def start(where: Path) -> str:
    """What the workflow says when it starts with my.yaml; nothing where the first job may begin."""
    path = where / "my.yaml"
    if lost := yaml_files.problems_of([path]):
        return "\n".join(lost)
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        full = configuration.resolve(config, SCHEMA)
    except configuration.ConfigurationError as error:
        return str(error)
    return before_start.refusal(full, where, [path]) or ""


@by_name(configs.TEXTS)
def test_texts_that_are_no_config(row: Bad, tmp_path: Path) -> None:
    write(tmp_path / "my.yaml", row.content)
    said = start(tmp_path)
    assert len(said.splitlines()) == 1
    assert all(part in said for part in row.told), said


@by_name(configs.CHANGES)
def test_configs_that_are_refused(row: Bad, tmp_path: Path) -> None:
    keys, value = row.content
    config = minimal()
    entry = config
    for key in keys[:-1]:
        entry = entry[key]
    if value is configs.GONE:
        del entry[keys[-1]]
    elif isinstance(value, tuple):
        entry[value[0]] = entry.pop(keys[-1])
    else:
        entry[keys[-1]] = value
    (project(tmp_path) / "my.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    said = start(tmp_path)
    assert all(part in said for part in row.told), said
    assert not (tmp_path / "results").exists()


def test_the_config_in_which_nothing_is_wrong_starts(tmp_path: Path) -> None:
    text = yaml.safe_dump(minimal())
    (project(tmp_path) / "my.yaml").write_text(text)
    assert start(tmp_path) == ""
    # With a byte-order mark, an anchor and what it is merged into.
    both = text.replace("  first:\n", "  first: &first\n") + "comparisons: {}\n"
    both = both.replace("genome:\n", "  second:\n    <<: *first\n    batch_size: 8\ngenome:\n")
    (tmp_path / "my.yaml").write_text("\ufeff" + both, encoding="utf-8")
    assert start(tmp_path) == ""
    assert yaml.safe_load(both)["analyses"]["second"]["model"] == "net"


ENDS: dict[str, tuple[Any, Any, str]] = {
    "key twice": (
        yaml.safe_dump(minimal()) + "results: other\n",
        None,
        "'results' is given twice in the top level",
    ),
    "unknown key": (yaml.safe_dump({**minimal(), "genom": {}}), None, "did you mean 'genome'"),
    "gzipped genome": (
        yaml.safe_dump(minimal()).replace("genome.fa", "genome.fa.gz"),
        packed(genome()),
        "genome.fasta: genome.fa.gz is compressed with gzip",
    ),
}


@pytest.mark.workflow
@pytest.mark.parametrize("fault", ENDS)
def test_snakemake_says_it_and_fails(fault: str, tmp_path: Path) -> None:
    text, zipped, told = ENDS[fault]
    write(project(tmp_path) / "my.yaml", text)
    if zipped:
        (tmp_path / "genome.fa.gz").write_bytes(zipped)
    snakemake = shutil.which("snakemake", path=Path(sys.executable).parent)
    command = [
        str(snakemake),
        "-s",
        ROOT / "Snakefile",
        "--configfile",
        "my.yaml",
        "--cores",
        "1",
        "--nocolor",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert told in said
    assert "Traceback" not in said
    assert not (tmp_path / "results").exists()
