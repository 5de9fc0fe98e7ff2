"""What `make new` writes is planned and inspected as it stands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cislex_workflow.new_config.main import new_config
from small_project import write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run, planned

pytestmark = pytest.mark.workflow


def test_a_new_config_is_planned_and_its_model_passes_the_inspection(tmp_path: Path, snakemake: Run) -> None:
    write_project(tmp_path)
    (tmp_path / "genome.fa").write_text(f">chr1\n{'ACGTTGCA' * 500}\n")
    (tmp_path / "my peaks.bed").write_text("".join(f"1\t{200 + 9 * i}\t{240 + 9 * i}\n" for i in range(30)))
    given = {
        "NAME": "mine", "GENOME": "genome.fa", "PEAKS": "my peaks.bed", "MODEL": "fold_*.pt",
        "MODULE": "model.py:build", "LENGTH": "140", "FOLDER": ".",
    }  # fmt: skip
    new_config(given, tmp_path)
    plan = planned(snakemake("--configfile", "mine.yaml", "--dry-run", folder=tmp_path).stdout)
    assert plan["render_report"] == plan["extract_regions"] == 1
    assert plan["attribute_chunk"] == 2
    snakemake("--configfile", "mine.yaml", "--", "inspect", folder=tmp_path)
    assert "output_1" in (tmp_path / "results" / "mine" / "main" / "inspection.txt").read_text()
