"""The section on designs: predictions against the round, logos by round, and how sequences were edited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import report_fixture
from cislex.design.evolve import EvolutionJob, evolve_sequences
from cislex.design.records import EvolutionFiles
from cislex.errors import InputError
from cislex.report import EvolutionTables, render_report
from cislex.report.sections.evolution import describe_evolution
from insertion_fixtures import WANTED, save_folds


def design(folder: Path, name: str, guide: str, *, length: int = 120, **changes: Any) -> EvolutionTables:
    """Files of a small design."""
    [weights] = save_folds(folder, 1, length=length)
    files = EvolutionFiles(folder / f"{name}.tsv", folder / f"{name}.fa", folder / f"{name}.h5")
    start = {"kind": "random", "n": 2, "shuffle": "none"}
    fields = {"guide": {"name": guide, "steps": 4}, "start": start, "rounds": 5}
    job = EvolutionJob(length=length, targets=WANTED, **fields | changes)
    evolve_sequences({"a": weights}, files, job, model={"loader": "trained"}, device="cpu")
    return EvolutionTables(
        name=name, analysis="first", trajectories=files.table, fasta=files.fasta, arrays=files.arrays
    )


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> list[EvolutionTables]:
    folder = tmp_path_factory.mktemp("designs")
    limits = {"forbidden": ["GAATTC"], "max_edits": 4}
    return [
        design(folder, "up", "greedy", target="b", against="a"),
        design(folder, "down", "integrated_gradients", direction="down", constraints=limits, beam=2),
    ]


def test_the_section_tells_how_predictions_changed_and_draws_rounds(specs: list[EvolutionTables]) -> None:
    up, down = describe_evolution(specs)
    assert up.text.startswith("2 sequences: exact greedy edits raised b − a from ")
    assert "with 5 edits each (median). Of them, 2 used all rounds." in up.text
    assert "edits guided by integrated gradients lowered a from " in down.text
    assert str(up.figure).count("<polyline") == 3
    assert [one.name for one in up.drawn] == ["random_1", "random_2"]
    assert all(text in str(up.drawn[0].figure) for text in ("round 0", "round 2", "round 5"))
    # Every base that differs is shaded in the stretch with most edits, at the middle and the last round.
    assert str(up.drawn[0].figure).count("#fff0c2") <= 2 + 5


def test_the_page_has_the_section_its_files_and_the_methods(
    specs: list[EvolutionTables], tmp_path: Path
) -> None:
    arguments: dict[str, Any] = report_fixture.write_results(tmp_path / "results")
    render_report(tmp_path / "r.html", title="T", **arguments, evolution=specs)
    page = (tmp_path / "r.html").read_text()
    assert page.count('<section id="evolution">') == page.count('href="#evolution"') == 1
    assert "up.fa" in page
    assert "random sequences were edited for up to 5 rounds with a beam of 2 to lower a." in " ".join(
        page.split()
    )
    assert "the base with the highest contribution (integrated gradients; Sundararajan et al., 2017)" in page
    assert "Constraints: no GAATTC; at most 4 edited positions." in page
    render_report(tmp_path / "r.html", title="T", **arguments)
    assert ">Evolution<" not in (tmp_path / "r.html").read_text()
    lost = EvolutionTables(
        name="x", analysis="a", trajectories=tmp_path / "no.tsv", fasta=specs[0].fasta, arrays=specs[0].arrays
    )
    with pytest.raises(InputError, match="evolution x"):
        render_report(tmp_path / "r.html", title="T", **arguments, evolution=[lost])
