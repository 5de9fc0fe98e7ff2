"""The planted model counts the planted words of each assay on both strands, and nothing else."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from cislex.attribution import DeepLiftShap, Zeros, attribute
from cislex.comparison.words import balance
from cislex.demo.planted_model import OUTPUTS, PlantedModel, build_model, counted_sites, plant_model
from cislex.demo.planted_motifs import load_motifs, meme_text
from cislex.errors import ConfigError
from cislex.models.loaders.factory import Loader
from cislex.targets import Output

ROOT = Path(__file__).resolve().parents[2]
ASSAYS = {"a": {"words": ["ctcf"], "lowered_by": "rest"}, "b": {"words": ["spi1", "runx1"]}}


def sequence(site: np.ndarray | None) -> torch.Tensor:
    """A site of codes within a stretch of A, which holds none of the words."""
    codes = np.zeros(100, dtype=int)
    if site is not None:
        codes[40 : 40 + len(site)] = site
    return torch.eye(4)[torch.tensor(codes)].T[None]


def test_each_output_counts_its_own_words_on_both_strands(tmp_path: Path) -> None:
    motifs = load_motifs(["ctcf", "rest", "spi1", "runx1"])
    (tmp_path / "planted.meme").write_text(meme_text(motifs))
    script = runpy.run_path(str(ROOT / "scripts" / "plant_model.py"))["main"]
    script(str(tmp_path / "planted.meme"), str(tmp_path / "model.pt"), assays=ASSAYS)
    module = f"{ROOT}/scripts/cislex/demo/planted_model.py:build_model"
    model = Loader(module).load(tmp_path / "model.pt").model
    best = {part: motif.probabilities.argmax(0) for part, motif in motifs.items()}
    with torch.no_grad():
        empty = model(sequence(None))[0]
        found = {part: model(sequence(site))[0] - empty for part, site in best.items()}
        turned = {part: model(sequence(site).flip(1, 2))[0] - empty for part, site in best.items()}
    assert empty.shape == (OUTPUTS,)
    assert torch.all(empty == 0)
    for part, signal in found.items():
        torch.testing.assert_close(signal, turned[part], atol=1e-4, rtol=1e-4)
        assert torch.all(signal[2:] == 0)
    assert found["ctcf"][0] > 1
    assert found["rest"][0] < -1
    assert found["spi1"][1] > 1
    assert found["runx1"][1] > 1


def both_words(folder: Path, logic: str) -> tuple[PlantedModel, torch.Tensor]:
    """The model of a pair, and sequences without any word, with the first, the second, and both."""
    motifs = load_motifs(["spi1", "runx1"])
    (folder / "planted.meme").write_text(meme_text(motifs))
    assays = {"plain": {"words": ["spi1", "runx1"]}, "own": {"words": ["spi1", "runx1"], "logic": logic}}
    plant_model(folder / "planted.meme", folder / "model.pt", assays=assays)
    model = build_model()
    model.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    first, second = (motifs[part].probabilities.argmax(0) for part in ("spi1", "runx1"))
    pair = np.concatenate([first, np.zeros(5, int), second])
    return model, torch.cat([sequence(site) for site in (None, first, second, pair)])


@pytest.mark.parametrize("logic", ["and", "or", "context"])
def test_both_words_are_needed_or_one_is_enough(tmp_path: Path, logic: str) -> None:
    model, rows = both_words(tmp_path, logic)
    with torch.no_grad():
        found = model(rows)
    assert found[0, :2].tolist() == [0, 1]
    a, b, whole = found[1:, 0].tolist()
    assert whole == pytest.approx(a + b, rel=1e-3)
    alone, both = {"and": (0, min(a, b)), "or": (1, 1), "context": (0, a * b)}[logic]
    assert (found[1:, 1] - 1).tolist() == pytest.approx([alone, alone, both], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("rule", "least", "most"), [("rescale", 0, 1e-6), ("reveal_cancel", 0.3, 0.5)])
def test_rescale_gives_all_of_an_and_pair_to_the_smaller_word(
    tmp_path: Path, rule: str, least: float, most: float
) -> None:
    model, rows = both_words(tmp_path, "and")
    width = load_motifs(["spi1"])["spi1"].width
    found = attribute(model, rows[3:], DeepLiftShap(Zeros(), rule=rule), target=Output(1))
    scores = found.contributions.sum(1)[0].numpy()
    words = np.array([[scores[40 : 40 + width].sum(), scores[45 + width :].sum()]])
    with torch.no_grad():
        a, b = model(rows[1:3])[:, 0].tolist()
    assert least <= balance(words) <= most
    if rule == "rescale":
        assert words[0, int(b < a)] == pytest.approx(min(a, b), rel=1e-3)


def test_the_weights_depend_on_neither_name_nor_time_and_too_many_assays_are_refused(tmp_path: Path) -> None:
    (tmp_path / "planted.meme").write_text(meme_text(load_motifs(["ctcf"])))
    for name in ("one.pt", "two.pt"):
        plant_model(tmp_path / "planted.meme", tmp_path / name, assays={"a": {"words": ["ctcf"]}})
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
    many = {f"a{number}": {"words": ["ctcf"]} for number in range(OUTPUTS + 1)}
    with pytest.raises(ConfigError, match=f"the planted model has {OUTPUTS} outputs"):
        plant_model(tmp_path / "planted.meme", tmp_path / "three.pt", assays=many)


def test_sites_are_told_where_the_model_counts_them_on_both_strands(tmp_path: Path) -> None:
    """Planted or not; one with too many other bases is none. A word of another output does not count."""
    motifs = load_motifs(["ctcf", "rest", "spi1", "runx1"])
    (tmp_path / "planted.meme").write_text(meme_text(motifs))
    plant_model(tmp_path / "planted.meme", tmp_path / "model.pt", assays=ASSAYS)
    model = build_model()
    model.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    best = {part: motif.probabilities.argmax(0) for part, motif in motifs.items()}
    weak = np.where(np.arange(motifs["rest"].width) % 2, best["rest"], 0)
    rows = [sequence(site) for site in (best["rest"], best["spi1"], weak)]
    turned = sequence(best["rest"]).flip(1, 2)
    found = counted_sites(model, tmp_path / "planted.meme", torch.cat([*rows, turned]), output=0)
    end = 40 + motifs["rest"].width
    assert found[["row", "start", "end", "name"]].to_numpy().tolist() == [
        [0, 40, end, "REST"],
        [3, 100 - end, 60, "REST"],
    ]
    assert (found["count"] < -1).all()
    assert counted_sites(model, tmp_path / "planted.meme", rows[0], output=5).empty
