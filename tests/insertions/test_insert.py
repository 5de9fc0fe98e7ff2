"""Effects are those of tangermeme, whatever the chunks; co-operativity is found where it was built in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cislex.errors import ModelError
from cislex.insertions.backgrounds import BackgroundSettings
from cislex.insertions.chunk import InsertionJob, insert_chunk, make_predictor, predict_constructs
from cislex.insertions.constructs import GridSettings
from cislex.insertions.insert import effect_table
from cislex.insertions.inserts import from_string
from cislex.insertions.plan_files import Plan, no_sites, read_plan
from cislex.models.loading import load_model
from cislex.report import InsertionTables
from cislex.report.sections.insertions import describe_insertions
from cislex.targets import Output, Target
from insertion_fixtures import LENGTH, WANTED, A, B, Grammar, random_codes, run, save_folds, write_store
from scipy import stats
from tangermeme.marginalize import marginalize
from tangermeme.space import space
from torch import nn

FIRST = Output(0)
GRID = GridSettings(pairs=[["A", "B"], ["B", "B"]], distances=(10, 21, 40))


def plan_of(grid: GridSettings, n: int = 30, *, strings: dict[str, str] | None = None) -> Plan:
    inserts = [from_string(name, letters) for name, letters in (strings or {"A": A, "B": B}).items()]
    names = [f"b{row}" for row in range(n)]
    return Plan(inserts, grid, random_codes(n), names, 0, no_sites(LENGTH), None)


def effects(model: nn.Module, plan: Plan, target: Target = FIRST, *, block: int = 4096) -> pd.DataFrame:
    predictor = make_predictor(model, [target], LENGTH)
    rows = slice(0, len(plan.backgrounds))
    values = [found for _, found in predict_constructs(predictor, plan, rows, block=block)]
    return effect_table(plan.inserts, plan.grid(), np.concatenate(values)[None, :, 0], "float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("insertions")
    write_store(folder / "sequences.h5", random_codes(20, seed=1))
    save_folds(folder)
    return folder


@pytest.fixture(scope="module")
def tables(folder: Path) -> dict[str, pd.DataFrame]:
    return run(folder / "whole", folder / "sequences.h5", [folder / "0.pt", folder / "1.pt"], grid=GRID)


def test_single_effects_are_those_of_marginalize(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    plan = read_plan(folder / "whole" / "plan.h5")
    x = torch.from_numpy(np.eye(4, dtype=np.float32)[plan.backgrounds].transpose(0, 2, 1).copy())
    table = tables["insertions"].query("kind == 'single' and orientation == '+' and target == 'a'")
    for row in table.itertuples():
        differences = []
        for fold in range(2):
            model = load_model("trained", weights=folder / f"{fold}.pt").model
            before, after = marginalize(model, x, {"A": A, "B": B}[row.word_a], device="cpu")
            differences.append((after - before)[:, 0].numpy().astype(np.float64))
        expected = np.mean(differences, axis=0)
        assert row.effect == pytest.approx(expected.mean(), abs=1e-6)
        low, high = stats.ttest_1samp(expected, 0).confidence_interval(0.95)
        assert (row.low, row.high) == pytest.approx((low, high), abs=2e-6)
        assert row.p == pytest.approx(stats.ttest_1samp(expected, 0).pvalue, rel=1e-3)
        assert row.spread == pytest.approx(np.std([one.mean() for one in differences]), abs=1e-6)


@pytest.mark.parametrize("orientation", GRID.orientations)
def test_pair_effects_are_those_of_space(
    folder: Path, tables: dict[str, pd.DataFrame], orientation: str
) -> None:
    plan = read_plan(folder / "whole" / "plan.h5")
    x = torch.from_numpy(np.eye(4, dtype=np.float32)[plan.backgrounds].transpose(0, 2, 1).copy())
    model = load_model("trained", weights=folder / "0.pt").model
    own = run(folder / orientation, folder / "sequences.h5", [folder / "0.pt"], grid=GRID)["insertions"]
    table = own.query("word_a == 'A' and word_b == 'B' and target == 'a' and orientation == @orientation")
    turn = str.maketrans("ACGT", "TGCA")
    motifs = [
        motif if strand == "+" else motif.translate(turn)[::-1]
        for motif, strand in zip((A, B), orientation, strict=True)
    ]
    gaps = [[round(distance - (len(A) + len(B)) / 2)] for distance in table["distance"]]
    before, after = space(model, x, motifs, torch.tensor(gaps), device="cpu")
    expected = (after - before[:, None])[:, :, 0].mean(0).numpy()
    assert list(table["distance"]) == [10.5, 21.5, 40.5]  # widths 7 and 8: centres half a bp apart
    assert table["effect"].to_numpy() == pytest.approx(expected, abs=1e-6)
    for row, whole in zip(table.itertuples(), expected, strict=True):
        alone = [
            marginalize(model, x, motif, start=int(start), device="cpu")
            for motif, start in zip(motifs, (row.start_a, row.start_b), strict=True)
        ]
        parts = sum(float((after - before)[:, 0].mean()) for before, after in alone)
        assert row.expected == pytest.approx(parts, abs=1e-6)
        assert row.cooperativity == pytest.approx(whole - parts, abs=1e-6)


def test_chunks_blocks_and_strangers_change_nothing(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    weights = [folder / "0.pt", folder / "1.pt"]
    again = run(folder / "chunks", folder / "sequences.h5", weights, grid=GRID, chunks=5)["insertions"]
    pd.testing.assert_frame_equal(again, tables["insertions"], rtol=1e-4, atol=1e-6)
    plan, model = plan_of(GRID, 5), Grammar()
    pd.testing.assert_frame_equal(effects(model, plan), effects(model, plan, block=3))
    fewer = run(folder / "one", folder / "sequences.h5", weights, strings={"B": B})["insertions"]
    both = tables["insertions"].query("kind == 'single' and word_a == 'B'").reset_index(drop=True)
    same = ["word_a", "orientation", "before", "effect", "low", "high", "p", "spread", "start_a"]
    pd.testing.assert_frame_equal(fewer[same], both[same], rtol=1e-4, atol=1e-6)


def test_a_pair_that_works_together_is_found_at_its_distance_and_orientation_alone() -> None:
    model = Grammar(distance=20)
    grid = GridSettings(pairs=[["A", "B"]], distances=range(10, 40))
    table = effects(model, plan_of(grid), Output(1)).query("kind == 'pair'")
    called = table[table["cooperativity_q"] < 0.05]
    # The start of B 20 bp after that of A: its centre is half a bp further.
    assert called[["orientation", "distance"]].to_numpy().tolist() == [["++", 20.5]]
    assert called["cooperativity"].to_numpy() == pytest.approx([2], abs=0.2)
    additive = effects(model, plan_of(grid), Output(0)).query("kind == 'pair'")
    assert not (additive["cooperativity_q"] < 0.05).any()


def test_rounding_of_an_additive_model_is_no_co_operativity() -> None:
    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4 * LENGTH, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x.flatten(1)) * 1000 + 1234.5

    table = effects(Linear(), plan_of(GridSettings(pairs="all", distances=range(9, 60)), 8))
    pairs = table[table["kind"] == "pair"]
    assert (pairs["cooperativity"].abs() > 0).any()
    assert (pairs["cooperativity_p"] == 1).all()
    assert (table["q"] < 0.05).any()


def test_sites_drawn_from_degenerate_letters_are_the_same_alone_and_in_pairs() -> None:
    plan = plan_of(GridSettings(pairs="all", distances=(20,)), strings={"x": "TGANTCA", "y": "RRRCWWGYYY"})
    table = effects(Grammar(), plan)
    pairs = table[table["kind"] == "pair"]
    assert pairs["cooperativity"].abs().max() < 1e-6


def test_a_log_target_has_a_multiplicative_expectation(tables: dict[str, pd.DataFrame]) -> None:
    table = tables["insertions"]
    assert table.groupby("target")["scale"].agg(set).to_dict() == {"a": {"linear"}, "b": {"log"}}


def test_a_stopped_chunk_resumes_with_the_same_numbers(
    folder: Path, tables: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cislex.insertions import chunk

    monkeypatch.setattr(chunk, "BLOCK", 60)
    own, job = folder / "stopped.h5", InsertionJob(0, 1, "fold_0", WANTED)
    given = (folder / "whole" / "plan.h5", folder / "0.pt", own, job)
    predict, calls = chunk.predict_constructs, []

    def fails(*arguments: object, **options: object) -> object:
        for found in predict(*arguments, block=60):  # type: ignore[arg-type]
            calls.append(found[0])
            if len(calls) == 3:
                raise ModelError("the node was lost")
            yield found

    monkeypatch.setattr(chunk, "predict_constructs", fails)
    with pytest.raises(ModelError, match="node was lost"):
        insert_chunk(*given, model={"loader": "trained"}, device="cpu")
    assert not own.exists()
    insert_chunk(*given, model={"loader": "trained"}, device="cpu")
    assert sum(calls) == len(read_plan(given[0]).backgrounds) + calls[2]
    import h5py

    with h5py.File(own) as one, h5py.File(folder / "whole" / "0.0.h5") as other:
        assert one["insertions/a"][...] == pytest.approx(other["insertions/a"][...], abs=1e-6)


def test_a_target_that_is_nan_is_named_with_the_background(folder: Path) -> None:
    class Bad(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum((1, 2))[:, None] * torch.nan

    with pytest.raises(ModelError, match="NaN or infinite for sequences of backgrounds b0 to b4"):
        effects(Bad(), plan_of(GridSettings(), 5))


def test_settings_of_backgrounds_follow_the_seed(folder: Path) -> None:
    seeds = [1, 1, 2]
    found = [
        run(
            folder / f"seed{number}", folder / "sequences.h5", [folder / "0.pt"],
            backgrounds=BackgroundSettings(n=5, seed=seed),
        )["insertions"]
        for number, seed in enumerate(seeds)
    ]  # fmt: skip
    pd.testing.assert_frame_equal(found[0], found[1])
    assert not found[0]["effect"].equals(found[2]["effect"])


def test_a_lexicon_without_words_makes_empty_tables(folder: Path, tmp_path: Path) -> None:
    from cislex.motifs.files import write_meme

    (tmp_path / "lexicon.tsv").write_text("word\tname\tcomposite_of\n")
    write_meme([], tmp_path / "lexicon.meme")
    lexicon = (tmp_path / "lexicon.tsv", tmp_path / "lexicon.meme")
    options = {"words": "all", "lexicon": lexicon, "strings": {}}
    grid = GridSettings(pairs="all", distances=[9])
    found = run(tmp_path / "run", folder / "sequences.h5", [folder / "0.pt"], grid=grid, **options)
    assert {name: len(table) for name, table in found.items()} == dict.fromkeys(found, 0)
    made = [tmp_path / "run" / f"{name}.tsv" for name in ("insertions", "contexts")]
    spec = InsertionTables(name="x", analysis="a", insertions=made[0], contexts=made[1])
    assert describe_insertions([spec])[0].text.startswith("No motif was inserted")


class Noise(Grammar):
    """[A] and [B] with noise that depends on the whole sequence, and the smaller of both."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = (torch.relu(conv(x)).amax((1, 2)) for conv in self.detectors)
        weights = torch.linspace(1, 97, x[0].numel(), dtype=x.dtype) ** 1.5
        noise = torch.sin((x.flatten(1) * weights).sum(1))
        return torch.stack([a + b + noise, torch.minimum(a, b)], 1)


def test_independent_motifs_are_called_at_the_nominal_rate_and_an_and_at_every_distance() -> None:
    plan = plan_of(GridSettings(pairs=[["A", "B"]], distances=range(9, 66)), 40)
    found = [effects(Noise(), plan, Output(i)).query("kind == 'pair'") for i in range(2)]
    independent, both = found[0], found[1].query("orientation == '++'")
    assert len(independent) == 4 * 57
    assert 0.005 < (independent["cooperativity_p"] < 0.05).mean() < 0.12
    assert (independent["cooperativity_q"] < 0.05).sum() <= 2
    assert both["cooperativity"].to_numpy() == pytest.approx(np.ones(len(both)), abs=0.15)
    assert (both["cooperativity_q"] < 1e-6).all()
