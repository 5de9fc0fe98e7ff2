"""A check of results passes a whole run, and names every file that is damaged, swapped or recomputed."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import verified_results as made
import yaml
from cislex.files.hdf5_blocks import digest_blocks
from cislex.files.indexed_text import write_indexed, write_indexed_bed
from cislex.files.sealed import seal
from cislex.files.tables import write_table
from cislex.files.text_tables import read_text
from cislex.verification.findings import FileReport
from cislex.verification.inputs import digest_folder
from cislex.verification.kinds import KINDS, kind_of
from cislex.verification.verify import verify_results
from cislex_workflow.reruns import freshness

#: Seeds of the random bits.
SEEDS = (1, 2, 3)
#: Kinds that a cut at half of their bytes leaves well-formed: only their digest tells.
ANY_LENGTH = {
    "simulated genome",
    "evolved sequences",
    "config",
    "record of a run",
    "records of jobs",
    "digests",
    "index of blocks",
    "number of references",
    "index",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Results of two runs of the same shape."""
    folder = tmp_path_factory.mktemp("verified")
    return made.make_results(folder / "a"), made.make_results(folder / "b", seed=1)


@pytest.fixture
def run(runs: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the first, elsewhere."""
    return Path(shutil.copytree(runs[0], tmp_path / "copy"))


def check(root: Path, genome: Path | None = None, **options: Any) -> dict[str, FileReport]:
    options = {"settings": made.SETTINGS, "config": made.CONFIG, "kept": kept_config(root), **options}
    found = verify_results(root, None, fasta=genome, threads=2, **options)
    return {report.path: report for report in found}


def kept_config(root: Path) -> dict[str, Any] | None:
    """As the workflow reads it."""
    try:
        found = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return found if isinstance(found, dict) else None


def without_records(root: Path) -> Path:
    (root / "runs/records.jsonl").unlink()
    return root


def files_of(root: Path) -> list[str]:
    """Files whose bytes a run keeps a digest of."""
    names = (path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file())
    return [name for name in names if not name.startswith("runs/") and not made.LISTED.search(name)]


def state(root: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in root.rglob("*")}


def test_a_whole_run_passes_and_nothing_is_changed(runs: tuple[Path, Path], tmp_path: Path) -> None:
    before = state(runs[0])
    out = tmp_path / "verification.tsv"
    found = verify_results(
        runs[0],
        out,
        settings=made.SETTINGS,
        config=made.CONFIG,
        kept=made.CONFIG,
        fasta=runs[0].parent / "inputs/genome.fa",
    )
    assert not [report for report in found if report.status != "ok"]
    assert state(runs[0]) == before
    table = read_text(out)
    assert list(table) == ["file", "kind", "bytes", "checks", "status", "what"]
    assert table["file"].tolist() == [report.path for report in found]
    attributions = next(report for report in found if report.path.endswith("attributions.all.h5"))
    assert {"completeness", "gate", "NaN", "digest", "sequences"} <= set(attributions.checks)
    sequences = next(report for report in found if report.path.endswith("sequences.h5"))
    assert "bases of the genome" in sequences.checks


#: Files that repeat others for other programs.
COPIES = {"file for genome browsers", "layout of another tool"}


def test_copies_for_other_programs_are_compared_with_what_their_job_wrote(run: Path) -> None:
    for name in ("browser/data/a.bw", "exports/shap/t/shap.npz"):
        (run / name).parent.mkdir(parents=True)
        (run / name).write_bytes(b"x" if name.endswith("npz") else b"")
    found = check(run)
    assert {found[name].kind for name in found if name.startswith(("browser/", "exports/"))} == COPIES
    assert found["browser/data/a.bw"].faults == ["is empty"]
    assert not found["exports/shap/t/shap.npz"].faults


def test_every_kind_of_file_is_in_the_run_that_is_checked(runs: tuple[Path, Path]) -> None:
    there = {known[0].name for name in files_of(runs[0]) if (known := kind_of(name))}
    lists = {
        known[0].name for path in runs[0].rglob("*") if (known := kind_of(str(path.relative_to(runs[0]))))
    }
    assert {kind.name for kind in KINDS} - there - lists == {"windows", *COPIES}, (
        "tests/integration/test_storage.py has these"
    )


def test_what_is_gone_is_not_checked_and_no_fault(run: Path) -> None:
    found = check(without_records(run), genome=run / "nowhere.fa", config=None)
    assert not [report.what for report in found.values() if report.faults]
    assert "bases of the genome" in found["regions/mine/sequences.h5"].what
    assert "records.jsonl is missing" in found["shap/predictions.tsv"].what
    assert "config of now" in found["config.yaml"].what


def test_an_input_that_changed_is_named_and_one_that_is_gone_is_not_checked(
    run: Path, tmp_path: Path
) -> None:
    (tmp_path / "here.bed").write_text("a")
    line = {"inputs": {str(tmp_path / "here.bed"): "0" * 32, "gone.bed": "0" * 32}, "outputs": {"x": None}}
    records = run / "runs/records.jsonl"
    records.write_text(records.read_text() + pd.Series(line).to_json() + "\n")
    found = check(run)
    assert "has changed" in found[str(tmp_path / "here.bed")].what
    assert found["gone.bed"].status == "not checked"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flipped_bit_anywhere_is_a_fault_of_its_file(run: Path, seed: int) -> None:
    names, rng = files_of(run), np.random.default_rng(seed)
    for name in names:
        data = bytearray((run / name).read_bytes())
        if data:
            data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
            (run / name).write_bytes(data)
    found = check(run)
    assert not [name for name in names if (run / name).stat().st_size and not found[name].faults]


def test_files_of_another_run_are_faults_by_their_digest(run: Path, runs: tuple[Path, Path]) -> None:
    equal = []
    for name in files_of(run):
        data = (runs[1] / name).read_bytes()
        equal += [name] if data == (run / name).read_bytes() else []
        (run / name).write_bytes(data)
    found = check(run)
    assert not [name for name in files_of(run) if not found[name].faults and name not in equal]
    assert len(equal) < 25


@pytest.mark.parametrize("share", [0.0, 0.47])
def test_a_cut_file_is_a_fault_also_where_no_digest_is_kept(run: Path, share: float) -> None:
    names = [name for name in files_of(without_records(run)) if (run / name).stat().st_size]
    for name in names:
        data = (run / name).read_bytes()
        (run / name).write_bytes(data[: int(len(data) * share)])
    found = check(run)
    silent = {found[name].kind for name in names if not found[name].faults}
    assert silent <= ANY_LENGTH
    assert found["shap/t/logos/pos_0.svg"].status == "ok"


def test_logos_are_compared_with_the_digest_of_their_folder(run: Path) -> None:
    logo = run / "shap/t/logos/pos_0.svg"
    logo.write_text(logo.read_text().replace("pos_0", "pos_9"))
    assert "not those that its job wrote" in check(run)["shap/t/logos"].what
    logo.write_text("<svg>")
    assert check(run)[logo.relative_to(run).as_posix()].faults


def test_a_file_that_its_job_made_is_missed(run: Path) -> None:
    for name in ("shap/t/modisco.h5", "lexicon/lexicon.tsv"):
        (run / name).unlink()
    found = check(run, expected=["other/t/qc.tsv"])
    assert "is missing, although its job made it" in found["shap/t/modisco.h5"].what
    assert "no run has made it yet" in found["other/t/qc.tsv"].what
    assert check(run, names={"analysis": ["another"]})["lexicon/lexicon.tsv"].faults
    assert "shap/t/modisco.h5" not in check(run, names={"analysis": ["another"]})


def hdf5(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        with h5py.File(path, "r+") as handle:
            change(handle)

    return edit


def plus(name: str, *place: int, by: float = 1.0) -> Callable[[Path], None]:
    def change(handle: h5py.File) -> None:
        handle[name][place] += np.asarray(by, handle[name].dtype)

    return hdf5(change)


def put(name: str, value: float, *place: int) -> Callable[[Path], None]:
    return hdf5(lambda handle: handle[name].__setitem__(place, value))


def again(name: str, how: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[Path], None]:
    """Write a dataset again, changed; or delete it."""

    def change(handle: h5py.File) -> None:
        values = how(handle[name][()])
        del handle[name]
        if values is not None:
            handle[name] = values

    return hdf5(change)


def shorter(handle: h5py.File) -> None:
    """Every dataset without its last row."""
    found: list[str] = []
    handle.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    for name in found:
        values = handle[name][:-1]
        del handle[name]
        handle[name] = values


def table(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    return lambda path: write_table(change(read_text(path)), path)


def cell(column: str, value: str, row: int = 0) -> Callable[[Path], None]:
    def change(found: pd.DataFrame) -> pd.DataFrame:
        found.loc[row, column] = value
        return found

    return table(change)


def indexed(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        found = change(read_text(path)).astype({"start": int, "end": int})
        write_indexed_bed(found, path)

    return edit


def fewer(found: pd.DataFrame) -> pd.DataFrame:
    return found.iloc[:-1]


def swapped(handle: h5py.File) -> None:
    """Another base at one place."""
    column = handle["sequences"][2, :, 7]
    handle["sequences"][2, :, 7] = np.roll(column, 1)


def recomputed(handle: h5py.File) -> None:
    """Other numbers whose digests and checksums are right: the chunk was computed again."""
    values = handle["targets/t/hypothetical"][:] * 2
    handle["targets/t/hypothetical"][:] = values
    digests = json.loads(handle.attrs["content_digests"])
    handle.flush()
    digests["t"]["hypothetical"] = digest_blocks(handle["targets/t/hypothetical"].id)
    handle.attrs["content_digests"] = json.dumps(digests)
    seal(handle)


def scaled(handle: h5py.File) -> None:
    """Other attributions of the same predictions, complete in themselves: recomputed after aggregation."""
    own = (handle["hypothetical"][0] * handle["sequences"][0]).sum(axis=0)
    first, second = np.flatnonzero(own)[:2]
    handle["hypothetical"][0, :, first] += 1
    handle["hypothetical"][0, :, second] -= 1


ALL, GATED, TARGET = "shap/t/attributions.all.h5", "shap/t/attributions.h5", "shap/t"
SEQUENCES, CHUNK = "regions/mine/sequences.h5", "shap/chunks/fold_0/0.h5"
#: What is done to which file, which file it is a fault of, and what is said of it, where no digest is kept.
DAMAGE: list[tuple[str, str, Callable[[Path], None], str, str]] = [
    ("NaN", ALL, put("hypothetical", np.nan, 3, 1, 5), ALL, "hypothetical: NaN or infinite in rows 3"),
    ("infinite baseline", ALL, put("baseline", np.inf, 2, 5), ALL, "baseline: NaN or infinite in rows 2"),
    ("NaN prediction", ALL, put("prediction", np.nan, 4), ALL, "prediction: NaN or infinite in rows 4"),
    ("a changed contribution", ALL, plus("prediction", 4), ALL, "do not add up .* in rows 4"),
    ("missing dataset", ALL, again("baseline", lambda values: None), ALL, "lacks baseline"),
    ("another dtype", ALL, again("baseline", lambda v: v.astype("f8")), ALL, "baseline float64"),
    ("rows dropped", ALL, hdf5(shorter), ALL, "has 10 rows, expected all of 11"),
    ("rows of one dataset", ALL, again("delta", lambda v: v[:-1]), ALL, "has delta float32"),
    ("no one-hot", ALL, put("sequences", 1, 2, slice(None), 7), ALL, "not one-hot in rows 2"),
    ("another base", ALL, hdf5(swapped), ALL, "sequences differ from regions/mine/sequences.h5 in rows 2"),
    ("another region", ALL, plus("regions/start", 1), ALL, "regions/start differs .* in rows 1"),
    ("over the limit", ALL, put("max_relative_delta", 0.5, 1), ALL, "1 regions are over the limit"),
    (
        "unlike delta",
        ALL,
        put("max_relative_delta", 0, slice(None)),
        ALL,
        "max_relative_delta does not belong",
    ),
    ("other sums", GATED, hdf5(scaled), GATED, "hypothetical, baseline or spread differs from .* in rows 0"),
    ("chunk NaN", CHUNK, put("targets/t/baseline", np.nan, 3, 1), CHUNK, "targets/t/baseline: NaN"),
    (
        "chunk edited",
        CHUNK,
        plus("targets/t/baseline", 3, 1),
        CHUNK,
        "differs from the one that its job wrote",
    ),
    ("chunk recomputed", CHUNK, hdf5(recomputed), ALL, "they were computed again"),
    ("another base", SEQUENCES, hdf5(swapped), SEQUENCES, "sequences are not those of .*genome.fa in rows 2"),
    ("another region", SEQUENCES, plus("regions/start", 2), SEQUENCES, "regions of another length in rows 2"),
    ("rows dropped", SEQUENCES, hdf5(shorter), "regions/mine/regions.bed", "has 10 regions, .* has 11"),
    (
        "another value",
        "shap/predictions.h5",
        plus("targets/fold_0/t", 2),
        "shap/predictions.tsv",
        "in rows 2",
    ),
    (
        "missing dataset",
        "shap/predictions.h5",
        again("targets/fold_1/t", lambda v: None),
        "shap/predictions.h5",
        "lacks targets/ of fold_1/t",
    ),
    (
        "rows dropped",
        "shap/predictions.tsv",
        table(fewer),
        "shap/predictions.tsv",
        "has 11 regions, .* has 10",
    ),
    ("no number", "shap/predictions.tsv", cell("t", "x"), "shap/predictions.tsv", "column t: 1 cells"),
    ("infinite", "shap/predictions.tsv", cell("t", "inf"), "shap/predictions.tsv", "column t: 1 cells"),
    ("rows dropped", "shap/observed.tsv", table(fewer), "shap/observed.tsv", "its rows are not those of"),
    ("rows dropped", f"{TARGET}/qc.tsv", table(fewer), f"{TARGET}/qc.tsv", "has 11 regions, .* has 10"),
    (
        "status",
        f"{TARGET}/qc.tsv",
        cell("status", "fail", 3),
        f"{TARGET}/qc.tsv",
        "status does not follow .* rows 3",
    ),
    (
        "delta",
        f"{TARGET}/qc.tsv",
        cell("max_relative_delta", "0.01"),
        f"{TARGET}/qc.tsv",
        "max_relative_delta differs",
    ),
    (
        "rows dropped",
        "regions/mine/regions.bed",
        table(fewer),
        "regions/mine/regions.bed",
        "10 regions and 1 dropped",
    ),
    (
        "rows dropped",
        "regions/mine/dropped.tsv",
        table(fewer),
        "regions/mine/regions.bed",
        "11 regions and 0 dropped",
    ),
    (
        "twice",
        "regions/mine/dropped.tsv",
        cell("source_line", "1"),
        "regions/mine/regions.bed",
        "lines 1 of the source",
    ),
    (
        "another length",
        "genome/chromosomes.tsv",
        cell("length", "4001"),
        SEQUENCES,
        "source_digest is not that of",
    ),
    ("seqlets", f"{TARGET}/motifs.tsv", cell("n_seqlets", "1"), f"{TARGET}/motifs.tsv", "n_seqlets differ"),
    (
        "rows dropped",
        f"{TARGET}/motifs.tsv",
        table(fewer),
        f"{TARGET}/motifs.meme",
        "its motifs are not those of",
    ),
    (
        "logo",
        f"{TARGET}/logos/pos_1.rc.svg",
        Path.unlink,
        f"{TARGET}/motifs.tsv",
        "logos are missing: pos_1.rc.svg",
    ),
    (
        "outside",
        f"{TARGET}/modisco.h5",
        put("pos_patterns/pattern_0/seqlets/example_idx", 99, 0),
        f"{TARGET}/modisco.h5",
        "seqlets outside of the regions",
    ),
    (
        "count",
        f"{TARGET}/modisco.h5",
        put("pos_patterns/pattern_0/seqlets/n_seqlets", 3, 0),
        f"{TARGET}/modisco.h5",
        "n_seqlets, or the spans",
    ),
    (
        "NaN",
        f"{TARGET}/modisco.h5",
        put("pos_patterns/pattern_1/contrib_scores", np.nan, 3, 1),
        f"{TARGET}/modisco.h5",
        "pattern_1/contrib_scores: NaN",
    ),
    (
        "rows dropped",
        f"{TARGET}/hits.bed.gz",
        indexed(fewer),
        "lexicon/usage.tsv",
        "n_hits differ from the rows of",
    ),
    (
        "region",
        f"{TARGET}/hits.bed.gz",
        indexed(lambda f: f.assign(region="r")),
        f"{TARGET}/hits.bed.gz",
        "regions that",
    ),
    (
        "place",
        f"{TARGET}/hits.bed.gz",
        indexed(lambda f: f.assign(end=f["end"].astype(int) + 99)),
        f"{TARGET}/hits.bed.gz",
        "outside of their regions",
    ),
    (
        "word",
        f"{TARGET}/hits.bed.gz",
        indexed(lambda f: f.assign(word="pos_9")),
        f"{TARGET}/hits.bed.gz",
        "words that",
    ),
    ("no index", f"{TARGET}/hits.bed.gz.tbi", Path.unlink, f"{TARGET}/hits.bed.gz", "has no index"),
    (
        "word",
        f"{TARGET}/syntax.tsv",
        cell("word_a", "pos_9"),
        f"{TARGET}/syntax.tsv",
        "words that .* lacks: pos_9",
    ),
    ("q of 2", f"{TARGET}/syntax.tsv", cell("q", "2"), f"{TARGET}/syntax.tsv", "column q: 1 cells"),
    (
        "region",
        f"{TARGET}/seqlets.tsv.gz",
        cell("name", "r99"),
        f"{TARGET}/seqlets.tsv.gz",
        "regions that .* r99",
    ),
    (
        "seqlets",
        "lexicon/lexicon.tsv",
        cell("n_seqlets", "1"),
        "lexicon/lexicon.tsv",
        "differ from the sums of",
    ),
    (
        "rows dropped",
        "lexicon/lexicon_members.tsv",
        table(fewer),
        "lexicon/lexicon_members.tsv",
        "differ from shap/t/modisco",
    ),
    ("seqlets", "lexicon/usage.tsv", cell("n_seqlets", "1"), "lexicon/usage.tsv", "n_seqlets differ from"),
    (
        "seqlets",
        "lexicon/usage.h5ad",
        plus("X", 0, 0),
        "lexicon/usage.tsv",
        "n_seqlets differ from lexicon/usage.h5ad",
    ),
    (
        "lines",
        "variants/calls/alleles.tsv",
        cell("alt", "G"),
        "variants/calls/variants.tsv",
        "its alleles are not",
    ),
    (
        "rows dropped",
        "variants/calls/variants.tsv",
        table(fewer),
        "variants/calls/variants.tsv",
        "has 3 alleles",
    ),
    (
        "row",
        "variants/calls/top_variants.h5",
        put("targets/t/rows", 9, 1),
        "variants/calls/top_variants.h5",
        "has row 9",
    ),
    (
        "bases",
        "insertions/pairs/plan.h5",
        put("backgrounds", 3, slice(None)),
        "insertions/pairs/plan.h5",
        "digest",
    ),
    (
        "word",
        "insertions/pairs/inserts.tsv",
        cell("word", "x"),
        "insertions/pairs/plan.h5",
        "its words are not those",
    ),
    (
        "rounds",
        "evolution/walk/evolution.h5",
        put("rounds", 9, 0, 2),
        "evolution/walk/trajectories.tsv",
        "last rounds",
    ),
    (
        "name",
        "evolution/walk/evolved.fa",
        lambda p: p.write_text(">x\nA\n"),
        "evolution/walk/trajectories.tsv",
        "sequences",
    ),
    ("hits", "contrasts/both/words.tsv", cell("hits", "9"), "contrasts/both/words.tsv", "add up to 10"),
    (
        "epochs",
        "models/net/fold_0.training.tsv",
        cell("kept", "1", 1),
        "models/net/fold_0.training.tsv",
        "2 epochs were kept",
    ),
    (
        "link",
        f"{TARGET}/qc.tsv",
        Path.unlink,
        "report.html",
        "links to files that are not there: shap/t/qc.tsv",
    ),
    (
        "digest",
        "shap/inspected.json",
        lambda p: p.write_text('{"fold_0": "x", "fold_1": "y"}'),
        ALL,
        "models of fold_0",
    ),
]


@pytest.mark.parametrize(
    ("file", "damage", "told", "message"),
    [case[1:] for case in DAMAGE],
    ids=[f"{c[1]}: {c[0]}" for c in DAMAGE],
)
def test_what_was_changed_is_named_where_no_digest_is_kept(
    runs: tuple[Path, Path], run: Path, file: str, damage: Callable[[Path], None], told: str, message: str
) -> None:
    path = without_records(run) / file
    if path.name.startswith("attributions"):  # they are one file
        shutil.copyfile(path, path.with_suffix(".own"))
        path.with_suffix(".own").replace(path)
    damage(path)
    found = check(run, genome=runs[0].parent / "inputs/genome.fa")
    assert re.search(message, found[told].what), found[told].what
    assert found[told].status == "fault"


#: Kinds of files of another run that other files tell, where no digest is kept.
TOLD_BY_OTHERS = [
    ALL,
    GATED,
    SEQUENCES,
    "regions/mine/regions.bed",
    "shap/predictions.h5",
    "shap/predictions.tsv",
    "shap/inspected.json",
    f"{TARGET}/qc.tsv",
    f"{TARGET}/modisco.h5",
    f"{TARGET}/motifs.tsv",
    f"{TARGET}/seqlets.tsv.gz",
    f"{TARGET}/hits.bed.gz",
    f"{TARGET}/contributions.bw",
    "lexicon/lexicon.tsv",
    "lexicon/lexicon.h5",
    "lexicon/lexicon_members.tsv",
    "lexicon/usage.tsv",
    "lexicon/usage.h5ad",
    "insertions/pairs/plan.h5",
    "insertions/pairs/chunks/fold_0/0.h5",
    "evolution/walk/trajectories.tsv",
    "evolution/walk/evolved.fa",
    "config.yaml",
    CHUNK,
]


@pytest.mark.parametrize("name", TOLD_BY_OTHERS)
def test_a_file_of_another_run_does_not_fit_the_others(runs: tuple[Path, Path], run: Path, name: str) -> None:
    (run / name).unlink()
    shutil.copyfile(runs[1] / name, without_records(run) / name)
    assert [report.path for report in check(run).values() if report.faults]


@pytest.mark.parametrize("name", [ALL, SEQUENCES, f"{TARGET}/modisco.h5", f"{TARGET}/hits.bed.gz"])
def test_a_flipped_bit_is_a_fault_or_harmless_where_no_digest_is_kept(
    runs: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    """The file alone: others would tell more."""
    path, rng, faults = tmp_path / name, np.random.default_rng(4), 0
    path.parent.mkdir(parents=True)
    for source in runs[0].joinpath(name).parent.glob(f"{path.name}*"):
        shutil.copyfile(source, path.parent / source.name)
    data, expected = path.read_bytes(), content(path)
    for place in rng.integers(0, len(data), 25):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(place % 8)
        path.write_bytes(flipped)
        found = check(tmp_path)[name]
        faults += bool(found.faults)
        if not found.faults:
            np.testing.assert_equal(content(path), expected)
    assert faults > 5


def content(path: Path) -> Any:
    """What readers see of a file."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    found: dict[str, Any] = {}
    with h5py.File(path) as handle:
        handle.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found


def test_an_index_of_another_file_is_told(run: Path, tmp_path: Path) -> None:
    rows = "".join(f"chr1\t{at + 1}\tv\tA\tC\t.\t.\t.\n" for at in range(0, 300_000, 20_000))
    header = "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n" + "##more=x\n" * 99
    header += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    write_indexed([header + rows], tmp_path / "other.vcf.gz", preset="vcf", is_long=False)
    index = without_records(run) / "variants/calls/variants.vcf.gz.tbi"
    shutil.copyfile(tmp_path / "other.vcf.gz.tbi", index)
    assert check(run)["variants/calls/variants.vcf.gz"].faults


def test_a_changed_config_is_told_by_key(run: Path) -> None:
    found = check(run, config={**made.CONFIG, "seed": 3, "more": 1})["config.yaml"]
    assert re.search(r"differs from it .* in seed, more", found.what)
    moved = {**made.CONFIG, "results": str(run), "genome": {"fasta": f"{run}/genome.fa"}}
    kept = run / "config.yaml"
    kept.write_text(kept.read_text().replace("fasta: genome.fa", "fasta: results/genome.fa"))
    assert "differs" not in check(run, config=moved)["config.yaml"].what


def test_other_settings_than_the_config_has_are_told(run: Path) -> None:
    settings = {"shap": {**made.SETTINGS["shap"], "folds": ["fold_0"]}}
    assert "folds" in check(run, settings=settings)[ALL].what
    gate = {"max_relative_delta": 0.5, "on_fail": "drop"}
    settings = {"shap": {**made.SETTINGS["shap"], "gate": gate}}
    found = check(run, settings=settings)
    assert re.search("on_fail keep, expected drop", found[GATED].what)
    assert not found[ALL].faults


def test_the_digest_of_a_folder_is_that_of_the_records(tmp_path: Path) -> None:
    for name, text in (("b.svg", "1"), ("deep/a.svg", "2")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert digest_folder(tmp_path) == freshness.digest_folder(tmp_path)
    before = digest_folder(tmp_path)
    (tmp_path / "b.svg").rename(tmp_path / "c.svg")
    assert digest_folder(tmp_path) != before
