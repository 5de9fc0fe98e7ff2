"""The config: defaults, sheets, unknown keys, names that must refer to each other."""

from __future__ import annotations

import copy
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pyjaspar
import pytest
import yaml
from cislex.motifs import databases
from cislex_workflow.checks import few_regions, input_files
from cislex_workflow.config import configuration
from cislex_workflow.config.model_settings import folds_used
from cislex_workflow.expected_use.work import Work

ROOT = Path(__file__).resolve().parents[3]

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


@pytest.fixture
def minimal() -> dict[str, Any]:
    return {
        "results": "out",
        "genome": {"fasta": "genome.fa"},
        "regions": {"mine": {"peaks": "{results}/peaks.bed"}},
        "models": {
            "net": {
                "loader": "factory",
                "module": "model.py:build",
                "input_length": 100,
                "folds": {"fold_0": "a.pt"},
            }
        },
        "analyses": {
            "first": {"regions": "mine", "model": "net", "targets": {"t": {"kind": "output", "index": 0}}}
        },
    }


def resolve(config: dict[str, Any]) -> dict[str, Any]:
    return configuration.resolve(config, SCHEMA)


def test_defaults_are_filled_at_every_level(minimal: dict[str, Any]) -> None:
    resolved = resolve(minimal)
    analysis = resolved["analyses"]["first"]
    assert resolved["seed"] == 0
    references = analysis["method"]["references"]
    assert (references["kind"], references["n"], references["seed"]) == ("dinucleotide_shuffle", 20, 0)
    assert analysis["qc"] == {"max_relative_delta": 1e-3, "on_fail": "error", "allow_incomplete": False}
    assert analysis["hits"] is None
    assert resolved["regions"]["mine"]["edge"] == "drop"


def test_the_given_config_is_not_changed(minimal: dict[str, Any]) -> None:
    before = copy.deepcopy(minimal)
    resolve(minimal)
    assert minimal == before


def test_results_placeholder_is_replaced(minimal: dict[str, Any]) -> None:
    assert resolve(minimal)["regions"]["mine"]["peaks"] == "out/peaks.bed"


def test_a_resolved_config_resolves_to_itself(minimal: dict[str, Any]) -> None:
    resolved = resolve(minimal)
    assert resolve(yaml.safe_load(yaml.safe_dump(resolved))) == resolved


def test_hits_given_as_an_empty_mapping_get_their_defaults(minimal: dict[str, Any]) -> None:
    minimal["analyses"]["first"]["hits"] = {}
    assert resolve(minimal)["analyses"]["first"]["hits"]["alpha"] == 0.7


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["analyses", "first", "methods"], {}, "unknown key 'methods'; did you mean 'method'"),
        (["analyses", "first", "motifs"], {"max_seqlet": 5}, "did you mean 'max_seqlets'"),
        (["genom"], {}, "unknown key 'genom'; did you mean 'genome'"),
        (["analyses", "first", "regions"], "yours", "no 'yours' in regions: mine"),
        (["regions", "mine", "fasta"], "x.fa", "exactly one of peaks, fasta, hdf5"),
        (["regions", "mine", "length"], 120, "all regions of a set need one length"),
        (["regions", "mine", "chunks"], 0, "regions.mine.chunks"),
        (["models", "net", "module"], None, "loader factory needs module"),
        (["models", "net", "folds"], {"fold_0": None}, "needs a weights file for every fold"),
        (
            ["models", "net", "architecture"],
            "basset",
            "'architecture' is only valid with loader: architecture",
        ),
        (["models", "net", "part"], "nobias", "'part' is only valid with loader: chrombpnet, not factory"),
        (
            ["models", "net", "organism"],
            "mouse",
            "'organism' is only valid with loader: alphagenome or borzoi",
        ),
        (["models", "net", "organism"], "yeast", "models.net.organism"),
        (["models", "net", "hyperparameters"], {"dims": "wide"}, "models.net.hyperparameters.dims"),
        (["models", "net", "channel_order"], "AACG", "AACG is not an order of A, C, G and T"),
        (["models", "net", "pad_to"], 90, "pad_to: 90 bp is less than input_length"),
        (["models", "net", "dummy_axis"], 4, "models.net.dummy_axis"),
        (["models", "net", "controls"], [[0]], "models.net.controls.0.0"),
        (["models", "net", "loader"], "factry", "did you mean 'factory'?"),
        (["analyses", "first", "targets", "t", "kind"], "outptu", "did you mean 'output'?"),
        (["analyses", "first", "method"], {"name": "deeplift"}, "did you mean 'deep_lift_shap'?"),
        (["analyses", "first", "method"], {"references": {"n": "many"}}, "first.method.references.n"),
        (
            ["analyses", "first", "method"],
            {"references": {"n": 5, "most": 9}},
            "most need n: auto, but n is 5",
        ),
        (
            ["analyses", "first", "method"],
            {"references": {"sufficiency": 0.9}},
            "sufficiency need n: auto, but n is 20",
        ),
        (["analyses", "first", "method"], {"references": {"n": "auto", "sufficiency": 1}}, "sufficiency"),
        (
            ["analyses", "first", "method"],
            {"references": {"n": "auto", "kind": "zeros"}},
            "of kind zeros are",
        ),
        (
            ["analyses", "first", "method"],
            {"name": "tism", "references": {"n": "auto"}},
            "tism has no references to count",
        ),
        (["analyses", "first", "motifs"], {"database": "jaspar-fungus"}, "did you mean 'jaspar-fungi'?"),
        (["analyses", "first", "motifs"], {"database": "jaspar-x"}, "'jaspar-x' is not one of jaspar-vert"),
        (
            ["analyses", "first", "motifs"],
            {"database": "jaspar-fungi", "databases": ["my.meme"]},
            "give database or databases, not both; move jaspar-fungi into databases",
        ),
        (
            ["analyses", "first", "motifs"],
            {"databases": ["jaspar-fungi", "jaspar-x"]},
            "'jaspar-x' is not one",
        ),
        (["analyses", "first", "motifs"], {"databases": []}, "analyses.first.motifs.databases"),
        (["analyses", "first", "seqlets"], {"window": 5000}, "first.seqlets.window: 5000 bp of regions of"),
        (
            ["analyses", "first", "seqlets"],
            {"min_length": 9, "max_length": 8},
            "min_length is 9, more than max",
        ),
        (
            ["analyses", "first", "seqlets"],
            {"min_length": 9, "window": 5},
            "9 bp, but 5 bp of each region are",
        ),
        (["analyses", "first", "seqlets"], {"databases": ["jaspar-fungus"]}, "did you mean 'jaspar-fungi'?"),
        (["analyses", "logs"], {}, "analyses: the name 'logs' is taken by a file or folder of the results"),
        (["analyses", "a/b"], {}, "analyses: the name 'a/b' is not made of letters"),
        (["analyses", "a" * 81], {}, "analyses: the name 'aaaaaaaaaaaaaaaaaaaa…' has 81 characters"),
        (
            ["analyses", "first", "targets", "predictions.tsv"],
            {"kind": "output"},
            "'predictions.tsv' is taken",
        ),
        (["analyses", 7], {}, "analyses: YAML does not read the key 7 as text"),
        (["fetch"], {"x": {"url": "https://a.org/x"}}, "fetch.x: give a digest"),
        (["fetch"], {"x": {"url": "https://a.org/x", "sha256": None}}, "fetch.x: give a digest"),
        (["fetch"], {"x" * 201: {"url": "https://a.org/x"}}, "has 201 characters; at most 200"),
        (["results"], "", "results"),
    ],
)
def test_a_wrong_config_is_refused_with_the_key(
    minimal: dict[str, Any], keys: list[str], value: Any, message: str
) -> None:
    entry = minimal
    for key in keys[:-1]:
        entry = entry[key]
    entry[keys[-1]] = value
    with pytest.raises(configuration.ConfigurationError) as raised:
        resolve(minimal)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loader": "architecture"}, "needs architecture"),
        (
            {"loader": "architecture", "architecture": "cnn", "hyperparameters": {"filters": [8, 16]}},
            "hyperparameters.filters: found [8, 16], expected a number",
        ),
        ({"loader": "pickled"}, "set trust_pickle: true"),
        ({"loader": "torchscript"}, "deep_lift_shap cannot see the operations of TorchScript"),
        (
            {"loader": "chrombpnet", "bias": {"fold_1": "b.h5"}},
            "folds fold_1; expected a file for each of fold_0",
        ),
        ({"loader": "theano"}, "models.net.loader"),
        ({"loader": "keras", "part": "full"}, "'part' is only valid with loader: chrombpnet, not keras"),
    ],
)
def test_a_loader_without_what_it_needs_is_refused(
    minimal: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    minimal["models"]["net"] |= {"module": None, **changes}
    with pytest.raises(configuration.ConfigurationError) as raised:
        resolve(minimal)
    assert message in str(raised.value)


def test_only_settings_that_are_given_reach_the_loader(minimal: dict[str, Any]) -> None:
    model = resolve(minimal)["models"]["net"]
    plain = {"loader": "factory", "trust_pickle": False, "module": "model.py:build"}
    assert configuration.model_options(model) == plain
    assert configuration.model_files(model) == ["model.py"]
    model |= {
        "loader": "chrombpnet",
        "module": None,
        "bias": {"fold_0": "b.h5"},
        "axes": "NLC",
        "pad_to": 120,
    }
    assert configuration.model_options(model) == {
        "loader": "chrombpnet",
        "trust_pickle": False,
        "bias": {"fold_0": "b.h5"},
        "layout": {"channel_order": "ACGT", "axes": "NLC", "pad_to": 120},
    }
    assert configuration.model_files(model) == ["b.h5"]


def test_settings_beside_weights_are_files_of_a_model_whose_loader_reads_them(
    minimal: dict[str, Any], tmp_path: Path
) -> None:
    model = resolve(minimal)["models"]["net"] | {"module": None, "organism": "mouse", "heads": ["cage"]}
    weights = [tmp_path / name / "model.safetensors" for name in ("a", "b", "c")]
    for path in weights:
        path.parent.mkdir()
    for path in weights[:2]:
        path.with_name("config.json").touch()
    model["folds"] = {path.parent.name: str(path) for path in weights}
    for loader in ("enformer", "borzoi"):
        found = configuration.model_files(model | {"loader": loader})
        assert found == [str(path.with_name("config.json")) for path in weights[:2]]
    assert configuration.model_files(model | {"loader": "alphagenome"}) == []
    options = configuration.model_options(model | {"loader": "alphagenome"})
    assert (options["organism"], options["heads"]) == ("mouse", ["cage"])


@pytest.mark.parametrize(
    ("loader", "axes", "layout"),
    [
        ("keras", None, None),
        ("keras", "NLC", None),
        ("keras", "NCL", {"channel_order": "ACGT", "axes": "NCL"}),
        ("exported", None, None),
        ("exported", "NCL", None),
        ("exported", "NLC", {"channel_order": "ACGT", "axes": "NLC"}),
    ],
)
def test_axes_are_those_of_the_loader_unless_they_are_given(
    minimal: dict[str, Any], loader: str, axes: str | None, layout: dict[str, str] | None
) -> None:
    minimal["models"]["net"] |= {"loader": loader, "module": None, "axes": axes}
    options = configuration.model_options(resolve(minimal)["models"]["net"])
    assert options.get("layout") == layout


def test_a_sheet_equals_the_mapping(minimal: dict[str, Any], tmp_path: Path) -> None:
    targets = json.dumps(minimal["analyses"]["first"]["targets"])
    sheet = tmp_path / "analyses.tsv"
    sheet.write_text(
        f"name\tregions\tmodel\ttargets\tmethod.references.n\tqc.on_fail\nfirst\tmine\tnet\t{targets}\t5\tdrop\n"
    )
    expected = copy.deepcopy(minimal)
    expected["analyses"]["first"] |= {"method": {"references": {"n": 5}}, "qc": {"on_fail": "drop"}}
    minimal["analyses"] = str(sheet)
    assert resolve(minimal) == resolve(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("regions\tmodel\nmine\tnet\n", "needs a column 'name'"),
        ("name\tmodel\na\tnet\na\tnet\n", ":3: name 'a' is empty or a duplicate"),
        ("name\tmodel\na\tnet\textra\n", ":2 has 3 cells; expected 2"),
        ("name,model\na,net\n", "is separated by commas: save it separated by tabs"),
        ('"name";"model"\na;net\n', "is separated by semicolons"),
        ("name\tmodel\tmodel\na\tnet\tnet\n", "column 'model' occurs 2 times"),
        ("name\tmodel.x\tmodel\na\tb\tc\n", ":2: column 'model.x' is part of 'model'"),
        ("name\tmodel\tmodel.x\na\tb\tc\n", ":2: column 'model.x' is part of 'model'"),
        ("name\tmodel\t\na\tb\tc\n", ":2: cell 'c' is in a column without a name"),
        (
            "name\ttargets\na\t{t: {kind: output}\n",
            ":2, column 'targets': {t: {kind: output} is neither JSON",
        ),
        ("name\tqc\na\t{on_fail: drop, on_fail: keep}\n", "'on_fail' is given twice"),
        (b"name\tmodel\na\tnet\nb\tcaf\xe9\n", ":3: not UTF-8 text"),
    ],
)
def test_a_broken_sheet_is_refused_with_its_line(
    minimal: dict[str, Any], tmp_path: Path, text: str | bytes, message: str
) -> None:
    sheet = tmp_path / "analyses.tsv"
    sheet.write_bytes(text if isinstance(text, bytes) else text.encode())
    minimal["analyses"] = str(sheet)
    with pytest.raises(configuration.ConfigurationError) as raised:
        resolve(minimal)
    assert f"analyses: {sheet}" in str(raised.value)
    assert message in str(raised.value)


def test_a_sheet_is_read_as_people_have_it(minimal: dict[str, Any], tmp_path: Path) -> None:
    """Flow YAML, quotes and a byte-order mark of a spreadsheet, blank rows, text that looks like a number."""
    target, entry = "{t: {kind: output, index: 0}}", minimal["analyses"].pop("first")
    quoted = json.dumps(entry["targets"]).replace('"', '""')
    minimal["models"]["7"] = minimal["models"].pop("net")
    sheet = tmp_path / "analyses.tsv"
    text = (
        "\ufeffname\t regions\tmodel\ttargets\tqc.max_relative_delta\tmotifs.max_seqlets\tbatch_size\t\r\n"
        f"a\tmine\t7\t{target}\t1e-2\t500.0\tnull\t\r\n\t\t\t\t\t\t\t\r\n"
        f'b\tmine \t7\t"{quoted}"\t\t\t8\t\r\n'
    )
    sheet.write_text(text, encoding="utf-8", newline="")
    minimal["analyses"] = str(sheet)
    found = resolve(minimal)["analyses"]
    assert found["a"]["targets"] == found["b"]["targets"] == entry["targets"]
    assert found["a"]["qc"]["max_relative_delta"] == 0.01
    assert repr(found["a"]["motifs"]["max_seqlets"]) == "500"
    assert [(a["model"], a["regions"], a["batch_size"]) for a in found.values()] == [
        ("7", "mine", None),
        ("7", "mine", 8),
    ]


def test_the_path_of_a_sheet_follows_the_rule_of_paths(
    minimal: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB", str(tmp_path))
    (tmp_path / "r.tsv").write_text("name\tpeaks\nmine\t./p.bed\n")
    minimal["regions"] = "$LAB//r.tsv"
    assert resolve(minimal)["regions"]["mine"]["peaks"] == "p.bed"
    minimal["regions"] = "{project}/no such.tsv"
    with pytest.raises(configuration.ConfigurationError, match=f"regions: no such sheet: {ROOT}/no such.tsv"):
        resolve(minimal)


def test_a_path_with_a_placeholder_is_a_cell(minimal: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "r.tsv").write_text("name\tpeaks\nmine\t{results}/p.bed\n")
    minimal["regions"] = str(tmp_path / "r.tsv")
    assert resolve(minimal)["regions"]["mine"]["peaks"] == "out/p.bed"


def test_no_analysis_or_target_has_the_name_of_a_file_or_folder_of_the_results(
    minimal: dict[str, Any],
) -> None:
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").rglob("*.smk"))
    taken = set(re.findall(r"\{RESULTS\}/([A-Za-z0-9_.]+)", rules)) | {"runs"}
    inside = set(re.findall(r"\{RESULTS\}/\{\{analysis\}\}/([A-Za-z0-9_.]+)", rules))
    assert {"genome", "report.html"} <= taken
    assert {"chunks", "predictions.tsv"} <= inside
    entry = minimal["analyses"]["first"]
    for name in taken:
        with pytest.raises(configuration.ConfigurationError, match=f"'{re.escape(name)}' is taken"):
            resolve({**minimal, "analyses": {name: entry}})
    for name in inside:
        analysis = {**entry, "targets": {name: entry["targets"]["t"]}}
        with pytest.raises(configuration.ConfigurationError, match=f"'{re.escape(name)}' is taken"):
            resolve({**minimal, "analyses": {"first": analysis}})


@pytest.mark.parametrize(
    ("held_out", "fold_use", "message"),
    [
        ({"fold_9": ["chrI"]}, "mean", "no fold 'fold_9'"),
        ({"a": ["chrI"], "b": ["chrI"]}, "held_out", "chrI is held out by a and b"),
        (None, "held_out", "needs models.net.held_out"),
    ],
)
def test_held_out_chromosomes_are_checked(
    minimal: dict[str, Any], held_out: Any, fold_use: str, message: str
) -> None:
    minimal["models"]["net"]["folds"] = {"a": "a.pt", "b": "b.pt"}
    minimal["models"]["net"]["held_out"] = held_out
    next(iter(minimal["analyses"].values()))["fold_use"] = fold_use
    with pytest.raises(configuration.ConfigurationError, match=re.escape(message)):
        resolve(minimal)


def test_folds_of_an_analysis_are_those_of_its_model_in_its_order(minimal: dict[str, Any]) -> None:
    model = minimal["models"]["net"]
    model |= {"folds": {"a": "a.pt", "b": "b.pt"}, "held_out": {"a": ["chrI"], "b": ["chrII"]}}
    analysis = next(iter(minimal["analyses"].values()))
    for chosen, used in ((None, ["a", "b"]), (["b", "a"], ["a", "b"]), (["b"], ["b"])):
        analysis["folds"] = chosen
        resolved = resolve(minimal)
        entry = next(iter(resolved["analyses"].values()))
        assert folds_used(entry, resolved["models"]["net"]) == used
        assert configuration.held_out_chromosomes(entry, resolved["models"]["net"]) == (
            ["chrII"] if used == ["b"] else []
        )
    for chosen, use, message in (
        (["b", "c"], "mean", "folds: no fold 'c' of model net; its folds are a, b"),
        (["b"], "held_out", "fold_use: held_out takes each region's own fold"),
    ):
        analysis |= {"folds": chosen, "fold_use": use}
        with pytest.raises(configuration.ConfigurationError, match=message):
            resolve(minimal)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"uncertainty": True, "method": {"name": "tism"}}, "tism has no references; it is for deep_lift"),
        (
            {"uncertainty": True, "method": {"references": {"kind": "uniform"}}},
            "needs two or more references",
        ),
        ({"uncertainty": True, "reverse_complement": True}, "first.uncertainty: not with reverse_complement"),
        ({"precision": "bfloat16"}, "bfloat16 rounds predictions to three digits"),
        ({"method": {"name": "ism", "end": 101}}, "first.method: start and end give [0, 101) of regions of"),
        (
            {"method": {"name": "ism", "start": 100}},
            "[100, 100) of regions of 100 bp; expected 0 <= start",
        ),
        (
            {"method": {"references": {"start": 90, "end": -20}}},
            "method.references: start and end give",
        ),
        ({"method": {"references": {"end": -102}}}, "[0, -1) of regions of 100 bp"),
        ({"method": {"references": {"kind": "saved"}}}, "references.path is required with kind: saved"),
        ({"method": {"references": {"path": "r.h5"}}}, "references.path is required with kind: saved"),
    ],
)
def test_settings_that_cannot_go_together(
    minimal: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    minimal["analyses"]["first"] |= change
    with pytest.raises(configuration.ConfigurationError, match=re.escape(message)):
        resolve(minimal)


def test_what_no_analysis_uses_is_a_notice(minimal: dict[str, Any]) -> None:
    assert configuration.notices(resolve(minimal)) == []
    minimal["regions"]["spare"] = {"peaks": "other.bed"}
    assert configuration.notices(resolve(minimal)) == ["regions that no analysis uses: spare"]


def test_motifs_are_left_out_with_null_and_the_genome_where_nothing_lies_on_it(
    minimal: dict[str, Any],
) -> None:
    minimal["regions"]["mine"] = {"fasta": "mine.fa"}
    del minimal["genome"]
    minimal["analyses"]["first"] |= {"motifs": None}
    resolved = resolve(minimal)
    assert resolved["genome"] is None
    assert resolved["analyses"]["first"]["motifs"] is None
    assert resolve(yaml.safe_load(yaml.safe_dump(resolved))) == resolved


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"motifs": None, "hits": {}}, "analyses.first.hits: hits need motifs, but motifs is null"),
        ({"motifs": None, "hits": {"method": "scan"}}, "or scan for known motifs: hits: {method: scan, data"),
        ({"hits": {"database": "jaspar-fungi"}}, "first.hits: database goes with method: scan only"),
        ({"hits": {"method": "scan", "database": "jaspar-fungy"}}, "'jaspar-fungy' is not one of jaspar-v"),
        ({"motifs": {"window": 101}}, "analyses.first.motifs.window: 101 bp of regions of 100 bp"),
        ({"hits": {"window": 101}}, "first.hits.window: 101 bp of regions of 100 bp; expected at most 100"),
        (
            {"motifs": None, "hits": {"method": "scan", "database": "a.meme", "window": 101}},
            "analyses.first.hits.window: 101 bp",
        ),
        ({"motifs": {"release": "JASPAR2019"}}, "first.motifs.release: found 'JASPAR2019', expected JASPAR"),
        ({"hits": {"release": "2024"}}, "first.hits.release: found '2024', expected JASPAR2026, JASPAR2024"),
    ],
)
def test_motifs_and_hits_must_fit(minimal: dict[str, Any], change: dict[str, Any], message: str) -> None:
    minimal["analyses"]["first"] |= change
    with pytest.raises(configuration.ConfigurationError, match=re.escape(message)):
        resolve(minimal)


def test_regions_can_be_scanned_without_motifs_of_their_own(minimal: dict[str, Any]) -> None:
    """For known motifs, which no syntax is asked of, or for the words of another analysis."""
    analysis = minimal["analyses"]["first"]
    minimal["analyses"]["second"] = {**analysis, "motifs": None, "hits": {"method": "scan"}}
    assert resolve(minimal)["analyses"]["second"]["syntax"] is not None
    minimal["analyses"] = {
        "first": {**analysis, "motifs": None, "hits": {"method": "scan", "database": "a.meme"}}
    }
    resolved = resolve(minimal)
    assert resolved["analyses"]["first"]["syntax"] is None
    minimal["analyses"]["first"]["syntax"] = {}
    assert resolve(minimal)["analyses"]["first"]["syntax"]["max_distance"] == 150, "where it is asked for"
    assert ("analyses.first.hits, database", "a.meme") in list(input_files.named_files(resolved))


def test_syntax_is_on_where_there_are_hits_and_only_there(minimal: dict[str, Any]) -> None:
    analysis = minimal["analyses"]["first"]
    assert resolve(minimal)["analyses"]["first"]["syntax"] is None
    analysis["hits"] = {}
    resolved = resolve(minimal)
    assert resolved["analyses"]["first"]["syntax"]["max_distance"] == 150
    assert resolve(yaml.safe_load(yaml.safe_dump(resolved))) == resolved
    analysis["syntax"] = {"shortest_period": 12, "longest_period": 9}
    with pytest.raises(configuration.ConfigurationError, match=r"shortest_period \(12\) must be below"):
        resolve(minimal)
    analysis["syntax"] = None
    assert resolve(minimal)["analyses"]["first"]["syntax"] is None
    analysis |= {"hits": None, "syntax": {"min_hits": 5}}
    with pytest.raises(configuration.ConfigurationError, match="syntax needs hits, but hits is null"):
        resolve(minimal)


def test_the_settings_of_syntax_are_those_of_the_library(minimal: dict[str, Any]) -> None:
    from cislex.syntax.settings import SyntaxSettings

    minimal["analyses"]["first"] |= {"hits": {}}
    given = resolve(minimal)["analyses"]["first"]["syntax"]
    assert SyntaxSettings(**{**given, "windows": tuple(given["windows"])}) == SyntaxSettings()


def test_too_few_regions_for_distances_are_said_with_the_plan(
    minimal: dict[str, Any], tmp_path: Path
) -> None:
    peaks = tmp_path / "peaks.bed"
    minimal["regions"]["mine"]["peaks"] = str(peaks)
    minimal["analyses"]["first"] |= {"hits": {}}

    def told() -> list[str]:
        return [text for text in few_regions.notices(Work(resolve(minimal))) if ".syntax:" in text]

    assert told() == []  # not there yet
    peaks.write_text("chr1\t100\t200\n" * 12)
    [notice] = told()
    assert "analyses.first.syntax: mine has about 12 regions" in notice
    minimal["analyses"]["first"]["syntax"] = {"min_regions": 10}
    assert told() == []
    peaks.write_text("chr1\t100\t200\n" * 200)
    minimal["regions"]["mine"]["top"] = 9
    assert "about 9 regions" in told()[0]


def test_regions_too_short_for_motifs_are_refused_at_the_plan(minimal: dict[str, Any]) -> None:
    from cislex.motifs.discovery import ModiscoSettings

    width = ModiscoSettings().pattern_width
    minimal["models"]["net"]["input_length"] = width
    with pytest.raises(
        configuration.ConfigurationError, match=f"{width} bp are too short for motifs.*motifs: null"
    ):
        resolve(minimal)
    minimal["models"]["net"]["input_length"] = width + 1
    assert resolve(minimal)
    minimal["models"]["net"]["input_length"] = width
    minimal["analyses"]["first"]["motifs"] = None
    assert resolve(minimal)


def test_a_missing_genome_names_what_needs_it(minimal: dict[str, Any]) -> None:
    del minimal["genome"]
    with pytest.raises(configuration.ConfigurationError, match=r"genome: needed by regions\.mine \(peaks\)"):
        resolve(minimal)


def test_bfloat16_goes_with_a_gate_that_it_can_pass(minimal: dict[str, Any]) -> None:
    for gate in ({"on_fail": "keep"}, {"max_relative_delta": 0.5}):
        minimal["analyses"]["first"] |= {"precision": "bfloat16", "qc": gate}
        assert resolve(minimal)["analyses"]["first"]["precision"] == "bfloat16"


def test_a_missing_sheet_is_named(minimal: dict[str, Any]) -> None:
    minimal["models"] = "nowhere.tsv"
    with pytest.raises(configuration.ConfigurationError, match="models: no such sheet: nowhere"):
        resolve(minimal)


@pytest.mark.parametrize("name", ["config.yaml", "yeast.yaml"])
def test_the_configs_of_the_project_resolve(name: str) -> None:
    config = yaml.safe_load((ROOT / "config" / name).read_text())
    assert resolve(config)["results"].startswith("results/")


def test_every_key_of_the_schema_has_a_description() -> None:
    schema = yaml.safe_load(SCHEMA.read_text())
    missing = []

    def visit(node: Any, where: str) -> None:
        if isinstance(node, dict):
            for key, part in node.get("properties", {}).items():
                if isinstance(part, dict):
                    entry = {**part}
                    if "$ref" in entry:
                        entry = {**schema["$defs"][entry["$ref"].rsplit("/", 1)[1]], **entry}
                    if "description" not in entry and "properties" not in entry and "const" not in entry:
                        missing.append(f"{where}.{key}")
            for key, part in node.items():
                if key != "oneOf":
                    visit(part, f"{where}.{key}")

    visit(schema, "")
    assert missing == [".analysis.properties.targets.additionalProperties.kind"] or not [
        name for name in missing if not name.endswith(".kind")
    ]


@pytest.mark.parametrize(
    "target",
    [
        {"kind": "output", "index": [0, 3], "head": "counts", "pre_activation": True},
        {
            "kind": "slice",
            "start": -4,
            "step": 2,
            "axis": 1,
            "reduction": "mean",
            "pre_activation": "head.act",
        },
        {"kind": "log_counts", "index": 1, "head": 1},
        {"kind": "profile", "weights": "secant", "index": 0},
        {"kind": "tracks", "tracks": [3, 1], "axis": 1, "window": [-8, 9], "bins": {"width": 4, "crop": 2}},
        {
            "kind": "tracks",
            "tracks": [1, 3],
            "unsquash": {"exponent": 0.75, "clip_soft": 384, "scale": [1, 0.3]},
        },
        {"kind": "difference", "a": {"kind": "output"}, "b": {"kind": "slice", "stop": 3}},
        {"kind": "sum", "parts": [{"kind": "output"}, {"kind": "log_counts"}], "weights": [1, -0.5]},
    ],
)
def test_every_target_can_be_configured(minimal: dict[str, Any], target: dict[str, Any]) -> None:
    from cislex.targets import from_config

    minimal["analyses"]["first"]["targets"] = {"t": target}
    assert from_config(resolve(minimal)["analyses"]["first"]["targets"]["t"])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"kind": "output", "idx": 1}, "unknown key 'idx'; did you mean 'index'?"),
        ({"kind": "outputs"}, "found 'outputs', expected output, slice,"),
        ({"index": 0}, "the key 'kind' is missing. Which number is computed"),
        (
            {"kind": "output", "reduction": "sum"},
            "key 'reduction' is not valid with kind: output; valid keys: kind, pre_activation, index",
        ),
        ({"kind": "output", "index": 0.5}, "found 0.5, expected a whole number or a list of whole numbers"),
        ({"kind": "log_counts", "index": [0, 1]}, "found [0, 1], expected a whole number"),
        ({"kind": "profile", "weights": "flat"}, "found 'flat', expected midpoint, example or secant"),
        ({"kind": "difference", "a": {"kind": "output"}}, "the key 'b' is missing. Target b in a − b"),
        (
            {"kind": "difference", "a": {"kind": "output", "indx": 1}, "b": {"kind": "output"}},
            "unknown key 'indx'",
        ),
        ({"kind": "sum", "parts": []}, "found [], expected a list of one or more mappings"),
        ({"kind": "sum", "parts": [{"kind": "no"}]}, "parts.0.kind: found 'no', expected output"),
        (
            {"kind": "sum", "parts": [{"kind": "output"}], "pre_activation": True},
            "key 'pre_activation' is not valid with kind: sum",
        ),
        ({"kind": "slice", "reduction": "max"}, "found 'max', expected sum or mean"),
    ],
)
def test_a_target_that_is_wrong_is_named_before_anything_runs(
    minimal: dict[str, Any], target: dict[str, Any], message: str
) -> None:
    minimal["analyses"]["first"]["targets"] = {"t": target}
    with pytest.raises(configuration.ConfigurationError) as caught:
        resolve(minimal)
    assert message in str(caught.value)
    assert "analyses.first.targets.t" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"u": {"column": "score"}}, "labels.u: no such target; targets are t"),
        ({"t": {}}, "labels.t: give exactly one of column, peaks, bigwig, plus, dataset; found none"),
        ({"t": {"column": "score", "bigwig": "a.bw"}}, "found column, bigwig"),
        ({"t": {"column": "score", "window": 50}}, "labels.t: window is not valid with column"),
        ({"t": {"column": "score", "distance": 5}}, "labels.t: distance is not valid with column"),
        ({"t": {"bigwig": "a.bw", "strand": "plus"}}, "labels.t: strand is not valid with bigwig"),
        ({"t": {"plus": "a.bw"}}, "labels.t: give both plus and minus, or bigwig"),
        (
            {"t": {"bigwig": "a.bw", "window": 51}},
            "window is 51; expected 1 to 100 bp, and an even difference",
        ),
        ({"t": {"bigwig": "a.bw", "window": 102}}, "window is 102; expected 1 to 100 bp"),
        (
            {"t": {"dataset": "y"}},
            "dataset is only valid for sequences given directly, not for the peaks of mine",
        ),
        ({"t": {"colunm": "score"}}, "unknown key 'colunm'; did you mean 'column'?"),
        ({"t": {"column": "score", "kind": "class"}}, "found 'class', expected auto, classes or numbers"),
        ({}, "analyses.first.labels"),
    ],
)
def test_labels_that_cannot_be_read_are_refused(
    minimal: dict[str, Any], labels: dict[str, Any], message: str
) -> None:
    minimal["analyses"]["first"]["labels"] = labels
    with pytest.raises(configuration.ConfigurationError) as raised:
        resolve(minimal)
    assert message in str(raised.value)


def test_labels_of_sequences_given_directly(minimal: dict[str, Any]) -> None:
    minimal["regions"]["mine"] = {"fasta": "mine.fa"}
    labels = minimal["analyses"]["first"]["labels"] = {"t": {"column": "activity", "table": "a.tsv"}}
    assert resolve(minimal)["analyses"]["first"]["labels"]["t"]["missing"] == "error"
    for label, message in (
        ({"column": "activity"}, "column needs a table"),
        ({"bigwig": "a.bw"}, "bigwig needs coordinates"),
        ({"peaks": "a.bed"}, "peaks needs coordinates"),
        ({"dataset": "y"}, "`dataset` is set but `hdf5` is not, and the regions mine have none"),
    ):
        labels["t"] = label
        with pytest.raises(configuration.ConfigurationError, match=re.escape(message)):
            resolve(minimal)
    minimal["regions"]["mine"] = {"hdf5": "mine.h5", "dataset": "x"}
    assert resolve(minimal)["analyses"]["first"]["labels"]["t"]["dataset"] == "y"


@pytest.mark.parametrize(
    ("held_out", "folds", "use", "expected"),
    [
        (None, ["a"], "mean", None),
        ({"a": ["chrI", "chrX"]}, ["a"], "mean", ["chrI", "chrX"]),
        ({"a": ["chrI"]}, ["a", "b"], "mean", None),
        ({"a": ["chrI"], "b": ["chrII"]}, ["a", "b"], "mean", []),
        ({"a": ["chrII"], "b": ["chrI"]}, ["a", "b"], "held_out", ["chrI", "chrII"]),
    ],
)
def test_a_chromosome_is_held_out_where_no_fold_behind_the_prediction_saw_it(
    minimal: dict[str, Any], held_out: Any, folds: list[str], use: str, expected: Any
) -> None:
    minimal["models"]["net"] |= {"folds": {fold: f"{fold}.pt" for fold in folds}, "held_out": held_out}
    minimal["analyses"]["first"]["fold_use"] = use
    config = resolve(minimal)
    found = configuration.held_out_chromosomes(config["analyses"]["first"], config["models"]["net"])
    assert found == expected


def test_a_fold_trained_here_holds_out_what_it_is_tested_on() -> None:
    config = resolve(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))
    analysis, model = config["analyses"]["enhancer"], config["models"]["demo"]
    assert configuration.held_out_chromosomes(analysis, model) == ["chrS6"]
    model["training"]["exclude_chromosomes"] = ["chrS1"]
    assert configuration.held_out_chromosomes(analysis, model) == ["chrS1", "chrS6"]
    model["held_out"] = {"fold_0": ["chrS2"]}
    assert configuration.held_out_chromosomes(analysis, model) == ["chrS1", "chrS2"]


def test_a_summary_follows_the_config_and_reaches_jobs_as_a_plain_dict(minimal: dict[str, Any]) -> None:
    shown = repr(configuration.Summarised(minimal))
    assert len(shown) < 50
    assert str(configuration.Summarised(copy.deepcopy(minimal))) == shown
    sent = pickle.loads(pickle.dumps(configuration.Summarised(minimal)))
    assert type(sent) is dict
    assert sent == minimal
    minimal["analyses"]["first"]["targets"]["t"]["index"] = 1
    assert repr(configuration.Summarised(minimal)) != shown


def test_the_names_of_known_motifs_are_those_of_the_package() -> None:
    assert set(configuration.JASPAR) == set(databases.JASPAR_GROUPS)
    releases = yaml.safe_load(SCHEMA.read_text())["$defs"]["jaspar_release"]
    assert releases["enum"] == list(pyjaspar.jaspar_releases)
    assert releases["default"] == databases.DEFAULT_RELEASE


def test_the_schema_has_the_choices_of_labels() -> None:
    from dataclasses import fields

    from cislex.prediction import labels

    properties = yaml.safe_load(SCHEMA.read_text())["$defs"]["label"]["properties"]
    assert set(properties) == {field.name for field in fields(labels.LabelSource)}
    choices = {"key": labels.KEYS, "kind": labels.KINDS, "transform": labels.TRANSFORMS}
    for key, valid in {**choices, "strand": labels.STRANDS, "missing": labels.MISSING}.items():
        assert properties[key]["enum"] == list(valid)


def test_the_schema_has_the_keys_of_every_kind_of_target() -> None:
    from cislex.targets.targets import _KINDS

    target = yaml.safe_load(SCHEMA.read_text())["$defs"]["target"]
    assert target["properties"]["kind"]["enum"] == list(_KINDS)
    for rule in target["allOf"]:
        kind = rule["if"]["properties"]["kind"]["const"]
        given = set(rule["then"]["propertyNames"]["enum"]) - {"kind", "pre_activation", "each"}
        assert given == set(_KINDS[kind].__dataclass_fields__), kind
        assert given <= set(target["properties"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [({}, [""]), ({"dataset": "x_train"}, None), ({"hdf5": "other.h5"}, None)],
)
def test_the_test_set_of_a_training_on_arrays_is_held_out(
    minimal: dict[str, Any], change: dict[str, str], expected: Any
) -> None:
    arrays = {"path": "a.h5", "x_test": "x_test", "y_test": "y_test"}
    minimal["models"]["net"] = {
        "loader": "trained", "input_length": 100, "training": {"hdf5": arrays}, "folds": {"fold_0": None},
    }  # fmt: skip
    minimal["regions"]["mine"] = {"hdf5": "a.h5", "dataset": "x_test", **change}
    config = resolve(minimal)
    analysis = config["analyses"]["first"]
    assert configuration.held_out_array(analysis, config) == expected
    config["models"]["net"]["folds"]["fold_0"] = "given.pt"
    assert configuration.held_out_array(analysis, config) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exclude_chromosomes": ["chrM"]}, "mine.exclude_chromosomes: chrM is not valid"),
        ({"only_chromosomes": ["c", "d"]}, "mine.only_chromosomes: c, d is not valid"),
        ({"center": "midpoint"}, "mine.center: midpoint is not valid"),
        ({"edge": "shift"}, "mine.edge: shift is not valid"),
        ({"format": "bed"}, "mine.format: bed is not valid"),
        ({"deduplicate": "overlap"}, "mine.deduplicate: overlap needs coordinates"),
        ({"top": 5}, "mine.top: 5 needs a column, but a FASTA has none"),
        ({"select": {"split": ["test"]}}, "mine.select: split needs a column"),
        ({"order_by": "x"}, "mine.order_by: x is only used by top and deduplicate"),
        ({"table": "t.tsv"}, "mine.table: t.tsv is only used by select"),
        ({"dataset": "x"}, "mine.dataset: x is only valid with hdf5, not fasta"),
        ({"fasta": None, "hdf5": "x.npy", "dataset": "x"}, "an .npy file is a single"),
        ({"fasta": None, "hdf5": "x.npz"}, "hdf5 needs the name of the dataset"),
        (
            {"fasta": None, "peaks": "p.bed", "names": "n.txt"},
            "mine.names: n.txt is only valid with fasta and hdf5",
        ),
        ({"sample": 5, "top": 5, "table": "t", "select": {"c": ["x", 1]}, "names": "n"}, None),
        ({"deduplicate": "exact", "max_unknown": 0.1, "malformed": "drop"}, None),
        ({"fasta": None, "hdf5": "x.h5", "dataset": "x", "top": 2, "order_by": "y[1]"}, None),
        ({"fasta": None, "hdf5": "x.npy"}, None),
    ],
)
def test_selections_of_direct_sequences_are_honoured_or_refused_with_key_and_reason(
    minimal: dict[str, Any], change: dict[str, Any], message: str | None
) -> None:
    minimal["regions"]["mine"] = {"fasta": "mine.fa", **change}
    if message is None:
        assert resolve(minimal)["regions"]["mine"]["deduplicate"] == change.get("deduplicate", "none")
    else:
        with pytest.raises(configuration.ConfigurationError, match=re.escape(message)):
            resolve(minimal)


def test_loci_of_the_report_are_loci(minimal: dict[str, Any]) -> None:
    loci = ["chrIV:1,000-2,000", "chrIV:1500", "HLA:01:5–9"]
    assert resolve({**minimal, "report": {"loci": loci}})["report"] == {
        "assembly": None, "loci": loci, "names": [],
    }  # fmt: skip
    for locus, told in (
        ("chrIV", "chromosome:start-end or chromosome:position"),
        ("c:9-5", "does not end after"),
    ):
        with pytest.raises(configuration.ConfigurationError, match=f"report.loci.*{told}"):
            resolve({**minimal, "report": {"loci": [locus]}})


def test_files_for_browsers_and_tools_need_what_they_are_made_of(minimal: dict[str, Any]) -> None:
    """`minimal` lies on the genome; layouts that no analysis can have are refused at the plan."""
    whole = resolve({**minimal, "exports": ["bedgraph"]})
    assert whole["browser"] == {
        "genome": None, "signal": True, "email": None, "page_regions": 5, "page_width": 2000,
    }  # fmt: skip
    assert resolve({**minimal, "browser": None})["browser"] is None
    known = {"report": {"assembly": "hg38"}, "browser": {"genome": False}}
    assert resolve({**minimal, **known})["browser"]["genome"] is False
    direct = {**minimal, "regions": {"mine": {"fasta": "x.fa"}}, "exports": ["bedgraph"]}
    for config, told in (
        ({**minimal, "browser": {"genome": False}}, "browser.genome: false needs report.assembly"),
        ({**minimal, "exports": ["wig"]}, "exports"),
        (direct, "exports: bedgraph needs regions on the genome"),
        ({**minimal, "exports": ["anndata"]}, "exports: anndata needs hits"),
        ({**minimal, "browser": {"email": "me"}}, "an email address"),
    ):
        with pytest.raises(configuration.ConfigurationError, match=told):
            resolve(config)
