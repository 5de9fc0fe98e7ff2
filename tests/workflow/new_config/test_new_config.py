"""`make new`: a config that is complete where all can be found out, and says what is left where not."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from cislex.inquiry.model import ModelFacts
from cislex.inquiry.regions import RegionFacts
from cislex.inquiry.weights_kind import WeightsKind
from cislex_workflow.config import configuration
from cislex_workflow.config.errors import ConfigurationError
from cislex_workflow.new_config.given import Given, read_variables
from cislex_workflow.new_config.main import ROOT, main, new_config
from cislex_workflow.new_config.text import OPEN, config_text, suggest_chunks
from small_project import write_project

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Weights and code of a model, a genome and peaks."""
    write_project(tmp_path)
    (tmp_path / "genome.fa").write_text(f">chr1\n{'ACGTTGCA' * 500}\n>chr2\n{'GATTACAG' * 500}\n")
    rows = [f"chr{1 + i % 2}\t{300 + 60 * i}\t{340 + 60 * i}\tp{i}\t0\t.\t1\t1\t1\t20\n" for i in range(40)]
    (tmp_path / "my peaks.narrowPeak").write_text("".join(rows))
    (tmp_path / "config").mkdir()
    return tmp_path


ALL = {
    "NAME": "mine", "GENOME": "genome.fa", "PEAKS": "my peaks.narrowPeak", "MODEL": "fold_*.pt",
    "MODULE": "model.py:build", "LENGTH": "140",
}  # fmt: skip


def resolved(path: Path) -> dict[str, Any]:
    """The config as a run resolves it."""
    return configuration.resolve(yaml.safe_load(path.read_text()), SCHEMA)


def test_a_config_of_all_that_is_needed_is_complete_and_says_what_was_found(project: Path) -> None:
    said = "\n".join(new_config(ALL, project))
    path = project / "config" / "mine.yaml"
    config = resolved(path)
    assert OPEN + ":" not in path.read_text()
    assert config["results"] == "results/mine"
    assert config["regions"]["peaks"]["peaks"] == "my peaks.narrowPeak"
    assert config["regions"]["peaks"]["format"] == "narrowPeak"
    assert config["models"]["net"]["folds"] == {"fold_0": "fold_0.pt", "fold_1": "fold_1.pt"}
    assert config["models"]["net"]["input_length"] == 140
    assert set(config["analyses"]["main"]["targets"]) == {"output_0", "output_1"}
    assert "40 rows with summits" in said
    assert "wrote config/mine.yaml" in said
    assert "to fill in" not in said


def test_what_cannot_be_found_out_is_a_commented_line_that_is_named_with_its_number(project: Path) -> None:
    said = "\n".join(new_config({**ALL, "LENGTH": "", "MODULE": ""}, project))
    path = project / "config" / "mine.yaml"
    lines = path.read_text().splitlines()
    named = {int(n): key for n, key in re.findall(r"line (\d+): (\w+)", said)}
    assert set(named.values()) == {"module", "input_length", "output"}
    assert all(f"# {key}: " in lines[n - 1] and OPEN in lines[n - 1] for n, key in named.items())
    assert "model.py:build" in path.read_text()  # beside the weights
    with pytest.raises(ConfigurationError, match="input_length"):
        resolved(path)
    # As the first lines of the file say: complete them, and remove the first #.
    done = [line.replace("# ", "", 1) if n in named else line for n, line in enumerate(lines, 1)]
    path.write_text("\n".join(done))
    with pytest.raises(ConfigurationError, match=r"input_length: found '…', expected"):
        resolved(path)  # no length is offered that would run
    path.write_text(path.read_text().replace("input_length: …", "input_length: 140"))
    assert resolved(path)["models"]["net"]["module"] == "model.py:build"


def test_a_name_alone_gives_a_template_of_open_lines(project: Path) -> None:
    said = "\n".join(new_config({"NAME": "mine"}, project))
    assert {"fasta", "peaks", "loader", "input_length", "folds", "output"} <= set(
        re.findall(r"line \d+: (\w+)", said)
    )


def test_a_folder_of_ones_own_gets_the_config_and_paths_from_there(project: Path) -> None:
    own = project / "own"
    own.mkdir()
    (project / "my peaks.narrowPeak").rename(own / "my peaks.narrowPeak")
    said = "\n".join(new_config({**ALL, "PEAKS": "own/my peaks.narrowPeak", "FOLDER": "own"}, project))
    config = resolved(own / "mine.yaml")
    assert config["regions"]["peaks"]["peaks"] == "my peaks.narrowPeak"
    assert config["genome"]["fasta"] == str(project / "genome.fa")
    assert config["models"]["net"]["module"] == f"{project}/model.py:build"
    assert f"cd {own} && " in said
    assert "--configfile mine.yaml" in said


def test_other_names_of_chromosomes_are_mapped_in_a_table_and_said_at_once(project: Path) -> None:
    peaks = project / "my peaks.narrowPeak"
    peaks.write_text(peaks.read_text().replace("chr", ""))
    said = "\n".join(new_config(ALL, project))
    assert "the peaks have 1, the genome chr1: 2 names mapped in config/mine.aliases.tsv: check it" in said
    assert (project / "config" / "mine.aliases.tsv").read_text() == "alias\tname\n1\tchr1\n2\tchr2\n"
    assert resolved(project / "config" / "mine.yaml")["genome"]["aliases"] == "config/mine.aliases.tsv"


def test_names_that_cannot_be_mapped_and_another_assembly_are_said_at_once(project: Path) -> None:
    peaks = project / "my peaks.narrowPeak"
    peaks.write_text(peaks.read_text().replace("chr", "contig"))
    said = "\n".join(new_config(ALL, project))
    assert "! 40 peaks are on chromosomes that the genome lacks (of 40; the peaks have contig1" in said
    assert re.search(r"line \d+: aliases", said)
    peaks.write_text("chr1\t10\t99000\n")
    said = "\n".join(new_config({**ALL, "NAME": "other"}, project))
    assert "! 1 peak ends beyond the end of the chromosome (of 1)" in said


def test_rows_that_cannot_be_used_are_dropped_openly(project: Path) -> None:
    peaks = project / "my peaks.narrowPeak"
    peaks.write_text(peaks.read_text() + "chr1\t90\t20\tx\t0\t.\t1\t1\t1\t2\n")
    said = "\n".join(new_config(ALL, project))
    assert "! rows of the peak file that cannot be used, and are dropped: 1" in said
    assert resolved(project / "config" / "mine.yaml")["regions"]["peaks"]["malformed"] == "drop"


@pytest.mark.parametrize("there", ["mine.yaml", "mine.aliases.tsv"])
def test_nothing_is_overwritten(there: str, project: Path) -> None:
    (project / "config" / there).write_text("own")
    with pytest.raises(ConfigurationError, match="is there already and is not overwritten"):
        new_config(ALL, project)
    assert (project / "config" / there).read_text() == "own"
    assert len(list((project / "config").iterdir())) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"NAME": ""}, "NAME is not given"),
        ({"NAME": "a/b"}, "NAME is 'a/b'.*no slash"),
        ({"NAME": "a b"}, "NAME is 'a b'.*no blank"),
        ({"NAME": ".a"}, "a letter or digit first"),
        ({"NAME": "mine.yaml"}, "without .yaml: NAME=mine"),
        ({"GENOME": "absent.fa"}, "GENOME: no such file: absent.fa"),
        ({"PEAKS": "config"}, "PEAKS: config is a folder"),
        ({"MODEL": "x_*.pt"}, r"MODEL: no file matches x_\*.pt"),
        ({"MODEL": "fold_0.pt, absent.pt"}, "MODEL: no such file: absent.pt"),
        ({"MODEL": "config"}, "MODEL: config is a folder; name its weights"),
        ({"MODULE": "model.py"}, "MODULE is 'model.py'; expected path/to/model.py:function"),
        ({"MODULE": "absent.py:build"}, "MODULE: no such file: absent.py"),
        ({"LENGTH": "-1"}, "LENGTH is '-1'"),
        ({"LENGTH": "²"}, "LENGTH is '²'"),
        ({"FOLDER": "absent"}, "FOLDER: no such folder"),
        ({"PEAKS": "a$HOME.bed"}, r"PEAKS: .*reads '\$'"),
        ({"PEAKS": "a{b}.bed"}, "PEAKS: .*braces"),
    ],
)
def test_each_wrong_variable_is_one_sentence_and_writes_nothing(
    wrong: dict[str, str], said: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for name in ("a$HOME.bed", "a{b}.bed"):
        (project / name).write_text("chr1\t10\t20\n")
    monkeypatch.chdir(project)
    assert main({**ALL, **wrong}) == 1
    shown = capsys.readouterr().err
    assert re.search(said, shown), shown
    assert "Traceback" not in shown
    assert not list((project / "config").iterdir())


def test_a_folder_that_cannot_be_written_is_named_and_leaves_nothing(project: Path, capsys: Any) -> None:
    (project / "config").rmdir()
    (project / "config").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"cannot be written.*is not a folder"):
        new_config(ALL, project)
    assert not [path for path in project.iterdir() if "mine" in path.name]


def given(**more: Any) -> Given:
    return read_variables({"NAME": "mine", **more}, ROOT)


FACTS = ModelFacts(
    WeightsKind("torchscript"),
    {"fold_0": Path("a.pt")},
    length=200,
    outputs={"output": (164,)},
    targets={"output_0": {"kind": "output", "index": 0}},
    method="tism",
    seconds_per_region=0.9,
)


def test_a_method_that_fits_the_format_and_chunks_that_fit_the_time_are_written() -> None:
    regions = RegionFacts(format="bed", peaks=10_000, genome={"chr1": 1000}, group="plants")
    text = config_text(given(), FACTS, regions, commands={})
    config = yaml.safe_load(text)
    assert config["analyses"]["main"]["method"] == {"name": "tism"}
    assert config["analyses"]["main"]["motifs"] == {"database": "jaspar-plants"}
    assert "another: {kind: output, index: 1}" in text  # 164 outputs, the first of which is a target
    assert config["regions"]["peaks"]["chunks"] == 5  # 10,000 × 0.9 s in jobs of half an hour
    assert suggest_chunks(10_000, 0.9) == 5
    assert suggest_chunks(2, 1e6) == 2
    assert suggest_chunks(5, 0.001) == 1


def test_commands_are_for_make_in_the_clone() -> None:
    text = config_text(given(), FACTS, RegionFacts(), commands={"Run": "make run CONFIG=config/mine.yaml"})
    assert "# Run: make run CONFIG=config/mine.yaml" in text


def test_a_module_saved_whole_waits_for_the_users_word(project: Path) -> None:
    torch.save(torch.nn.Linear(4, 1), project / "whole.pt")
    new_config({"NAME": "mine", "MODEL": "whole.pt"}, project)
    text = (project / "config" / "mine.yaml").read_text()
    assert "loader: pickled" in text
    assert re.search(rf"# trust_pickle: true +# {OPEN}: .*runs the code in it", text)
    assert os.listdir(project / "config") == ["mine.yaml"]
