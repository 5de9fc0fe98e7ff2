"""Sites on both strands are cut out as tangermeme's ablate does, and moved with their place and bases."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cislex.errors import ConfigError, InputError
from cislex.insertions.chunk import make_predictor, predict_sites
from cislex.insertions.constructs import GridSettings
from cislex.insertions.insert import context_table
from cislex.insertions.inserts import from_frequencies
from cislex.insertions.plan_files import Plan
from cislex.insertions.sites import ABLATIONS, Sites, SiteSettings, choose_sites, site_effects, site_sequences
from cislex.sequences.store import SequenceStore, reverse_complement
from cislex.targets import Output
from insertion_fixtures import (
    A,
    B,
    Grammar,
    codes_of,
    one_hot_of,
    predict,
    random_codes,
    save_folds,
    write_store,
)
from syntax_fixtures import PlantedHits
from tangermeme.ablate import ablate

LENGTH = 81  # odd: the centre base differs between the strands of an even one only


@pytest.fixture(scope="module", params=[80, LENGTH])
def project(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Regions on both strands with A on either strand, B everywhere, and hits of them."""
    folder = tmp_path_factory.mktemp("sites")
    random = np.random.default_rng(3)
    n, length = 24, request.param
    planted = PlantedHits(n, minus=0.5, length=length)
    codes = random_codes(n, length, seed=4)
    for row in range(n):
        start, strand = int(random.integers(5, 30)), int(random.choice([-1, 1]))
        motif = codes_of(A) if strand > 0 else reverse_complement(codes_of(A)[None])[0]
        codes[row, start : start + len(A)] = motif
        planted.add("pos_0", np.array([row]), np.array([start]), np.array([strand]), width=len(A))
        codes[row, 50 : 50 + len(B)] = codes_of(B)
        planted.add("pos_1", np.array([row]), np.array([50]), np.array([1]), width=len(B))
    planted.write(folder)
    write_store(folder / "sequences.h5", codes, planted.regions[["chrom", "start", "end", "name", "strand"]])
    return folder


def choose(project: Path, settings: SiteSettings | None = None, *, backgrounds: int = 6) -> Sites:
    with SequenceStore(project / "sequences.h5") as store:
        return choose_sites(
            project / "hits.bed.gz",
            project / "regions.bed",
            store,
            ["pos_0", "pos_1"],
            settings or SiteSettings(contexts=4),
            backgrounds=backgrounds,
        )


def plan_of(sites: Sites, settings: SiteSettings, *, backgrounds: int = 6) -> Plan:
    inserts = [
        from_frequencies(word, text, "lexicon", one_hot_of([text])[0].double().numpy(), form="consensus")
        for word, text in (("pos_0", A), ("pos_1", B))
    ]
    codes = random_codes(backgrounds, sites.sequences.shape[1], seed=9)
    return Plan(inserts, GridSettings(), codes, [""] * len(codes), 0, sites, settings)


def test_sites_lie_where_the_hits_are_on_both_strands(project: Path) -> None:
    sites = choose(project)
    hits = pd.read_csv(project / "hits.bed.gz", sep="\t")
    named = sites.regions.assign(motif=[f"pos_{word}" for word in sites.word])
    keys = ["chrom", "start", "end", "strand", "motif"]
    expected = hits.rename(columns={"#chrom": "chrom"})[keys].sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(named[keys].sort_values(keys, ignore_index=True), expected)
    assert set(hits["strand"]) == {"+", "-"}
    for word, text in enumerate((A, B)):
        for number in np.flatnonzero(sites.word == word):
            found = sites.sequences[number, sites.start[number] : sites.end[number]]
            both = [codes_of(text), reverse_complement(codes_of(text)[None])[0]]
            assert any((found == one).all() for one in both)


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_effects_in_the_own_sequence_are_those_of_ablate(project: Path, ablation: str) -> None:
    settings = SiteSettings(contexts=4, ablation=ablation)
    plan = plan_of(choose(project, settings), settings)
    model, n = Grammar(), len(plan.sites)
    predictor = make_predictor(model, [Output(0)], plan.length)
    values = np.concatenate([found for _, found in predict_sites(predictor, plan, slice(0, n), block=40)])
    own, _ = site_effects(values[:, 0])
    for number in range(n):
        made = site_sequences(plan.sites, number, plan.backgrounds, settings)
        x = torch.from_numpy(np.eye(4, dtype=np.float32)[made].transpose(0, 2, 1).copy())
        start, end = int(plan.sites.start[number]), int(plan.sites.end[number])

        def same_shuffles(
            X: torch.Tensor, start: int, end: int, n: int, random_state: object
        ) -> torch.Tensor:
            return x[None, 1 : 1 + n]  # noqa: B023

        before, after = ablate(model, x[:1], start, end, n=4, shuffle_fn=same_shuffles, device="cpu")
        assert own[number] == pytest.approx(float((before[0] - after[0].mean(0))[0]), abs=1e-6)
        outside = np.ones(plan.length, bool)
        outside[start:end] = False
        assert (made[1:5, outside] == made[0, outside]).all()
        assert (made[9:, outside] == made[5:9, outside]).all()
        assert (made[9:, start:end] == made[0, start:end]).all()
        if ablation != "background":
            assert (np.sort(made[1:5, start:end]) == np.sort(made[0, start:end])).all()


def test_an_additive_model_sees_no_context_and_a_partner_is_one(project: Path) -> None:
    settings = SiteSettings(contexts=4)
    plan = plan_of(choose(project, settings), settings)
    tables = {}
    for output in (0, 1):
        model = Grammar(distance=20)
        if output:  # B counts only where A is anywhere: an AND of both

            class Both(Grammar):
                def forward(self, x: torch.Tensor) -> torch.Tensor:
                    a, b = (torch.relu(conv(x)).amax((1, 2)) for conv in self.detectors)
                    return torch.stack([a + b, a * b], 1)

            model = Both()
        predictor = make_predictor(model, [Output(output)], plan.length)
        values = np.concatenate([v for _, v in predict_sites(predictor, plan, slice(0, len(plan.sites)))])
        tables[output] = context_table(plan, values[:, 0], "float32").set_index("word")
    # A is known on the plus strand alone, where half of its sites lie.
    assert tables[0]["own"].to_numpy() == pytest.approx(tables[0]["moved"], abs=0.1)
    assert (tables[1].loc[["pos_0", "pos_1"], "context_q"] < 0.05).all()
    assert tables[1]["moved"].to_numpy() == pytest.approx([0, 0], abs=0.1)


def test_sites_through_the_files_are_one_row_a_word_and_one_a_site(project: Path) -> None:
    with SequenceStore(project / "sequences.h5") as store:
        length = store.length
    table = {"word": ["pos_0", "pos_1"], "name": ["AP1", "ETS"], "composite_of": ["", ""]}
    pd.DataFrame(table).to_csv(project / "lexicon.tsv", sep="\t", index=False)
    from cislex.motifs.files import MemeMotif, write_meme

    frequencies = [one_hot_of([text])[0].double().numpy() for text in (A, B)]
    write_meme(
        [MemeMotif(f"pos_{i}", "x", p, 9) for i, p in enumerate(frequencies)], project / "lexicon.meme"
    )
    script = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "prepare_insertions.py"))
    names = {"sequences": "sequences.h5", "lexicon": "lexicon.tsv", "words": "lexicon.meme"}
    names |= {"hits": "hits.bed.gz", "regions": "regions.bed"}
    settings = {
        "words": "all",
        "strings": {},
        "form": "consensus",
        "grid": {"pairs": [], "distances": [10], "orientations": ["++"]},
        "backgrounds": {"kind": "shuffled", "n": 8, "seed": 0},
        "sites": {"n": 10, "contexts": 3, "ablation": "background", "seed": 0},
    }
    files = {name: project / file for name, file in names.items()}
    for wrong, message in (
        (
            {"words": ["NOSUCH"]},
            r"words: no word 'NOSUCH' in the lexicon; it has AP1 \(pos_0\), ETS \(pos_1\)",
        ),
        ({"strings": {"pos_1": "ACG"}}, r"motifs: pos_1 is the name of two motifs"),
    ):
        named = {**settings, **wrong, "key": "insertions.mine"}
        with pytest.raises(ConfigError, match=rf"^insertions\.mine\.{message}"):
            script["main"](files, project / "plan.h5", project / "inserts.tsv", named)
    script["main"](files, project / "plan.h5", project / "inserts.tsv", settings)
    found = predict(project, save_folds(project, length=length), chunks=3)
    assert found["inserts"]["inserted"].tolist() == [A, B]
    contexts, sites = found["contexts"], found["sites"]
    assert contexts[["target", "name", "n"]].to_numpy().tolist() == [
        ["a", "AP1", 10], ["a", "ETS", 10], ["b", "AP1", 10], ["b", "ETS", 10]
    ]  # fmt: skip
    assert len(sites) == 20
    means = sites.groupby("word")[["a.own", "a.moved"]].mean().to_numpy()
    assert contexts.loc[:1, ["own", "moved"]].to_numpy() == pytest.approx(means, abs=1e-5)
    assert contexts["context"].to_numpy() == pytest.approx(contexts["own"] - contexts["moved"], abs=1e-5)


def test_more_contexts_than_backgrounds_and_regions_of_another_analysis_are_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"sites.contexts: found 7; there are 6 backgrounds"):
        choose(project, SiteSettings(contexts=7))
    other = write_store(project / "other.h5", random_codes(3, 40))
    with (
        SequenceStore(other) as store,
        pytest.raises(InputError, match=r"24 regions of .*not of one analysis"),
    ):
        choose_sites(
            project / "hits.bed.gz", project / "regions.bed", store, ["pos_0"], SiteSettings(), backgrounds=20
        )
