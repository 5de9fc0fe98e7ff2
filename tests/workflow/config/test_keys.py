"""Every key of the schema reaches a job: a key that nothing reads is a promise that nobody keeps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]

TRAINING: dict[str, Any] = {
    "tasks": {"architecture": "cnn", "tasks": {"t": "peaks.bed"}, "validation_chromosomes": ["c1"],
              "test_chromosomes": ["c2"], "negatives": {"kind": "bed", "path": "not.bed"}},
    "softmax": {"tasks": {"t": "peaks.bed"}, "validation_chromosomes": ["c1"], "test_chromosomes": ["c2"],
                "head": "softmax"},
    "signal": {"signal": {"peaks": "peaks.bed", "tracks": {"s": {"bigwig": "s.bw"},
                                                           "p": {"plus": "p.bw", "minus": "m.bw"}}},
               "validation_chromosomes": ["c1"], "test_chromosomes": ["c2"]},
    "labels": {"labels": {"x": "x.fa", "y": "y.fa"}},
    "hdf5": {"hdf5": {"path": "a.h5"}},
}  # fmt: skip
MODELS: dict[str, Any] = {
    "factory": {"loader": "factory", "module": "model.py:build", "folds": {"a": "a.pt", "b": "b.pt"},
                "held_out": {"a": ["c1"], "b": ["c2"]}},
    "zoo": {"loader": "architecture", "architecture": "basset", "folds": {"a": "a.pt"}},
    "bias": {"loader": "chrombpnet", "bias": {"a": "b.h5"}, "folds": {"a": "a.h5"}},
    "heads": {"loader": "alphagenome", "organism": "mouse", "heads": ["cage"], "folds": {"a": "g.pt"}},
    **{name: {"loader": "trained", "training": training, "folds": {"a": None}}
       for name, training in TRAINING.items()},
}  # fmt: skip
LABELS: dict[str, Any] = {
    "column": {"column": "score", "table": "t.tsv"},
    "peaks": {"peaks": "p.bed"},
    "signal": {"bigwig": "s.bw", "window": 50},
    "strands": {"plus": "p.bw", "minus": "m.bw"},
}
#: Read when the workflow is parsed, where this test cannot change them; and what is told by the report alone.
PARSED = {"results", "title", "analyses.*.keep_chunks"}
SECTIONS_PARSED = ("simulate.", "fetch.", "estimate.", "models.*.tracks", "models.*.bins")
#: Settings of what is asked when a run starts or by another command, not of a job.
#: Of the report alone, which otherwise names every setting.
OF_THE_REPORT = {"report.loci", "report.names"}
COMMANDS = {"budget.gpu_hours", "budget.confirmed"}
#: Read by a job when it runs, so that a change makes no result again (tests of the inspection and of chunks).
AT_RUN_TIME = "analyses.*.qc.allow_incomplete"


def config() -> dict[str, Any]:
    """A config that holds an example of everything."""
    references = {"genomic": {"kind": "genomic"}, "saved": {"kind": "saved", "path": "r.h5"}}
    target = {"kind": "output"}
    analyses: dict[str, Any] = {
        name: {"regions": "peaks", "model": name, "targets": {"t": target}} for name in MODELS
    }
    for name, chosen in references.items():
        analyses[name] = {**analyses["factory"], "method": {"references": chosen}, "hits": {}, "seqlets": {}}
    automatic = {"n": "auto", "sufficiency": 0.9, "most": 10}
    analyses["automatic"] = {**analyses["factory"], "method": {"references": automatic}}
    labelled = {**analyses["factory"], "targets": dict.fromkeys(LABELS, target), "labels": LABELS}
    analyses["scanned"] = {
        **analyses["factory"],
        "folds": ["a"],
        "uncertainty": True,
        "hits": {"method": "scan", "database": "jaspar-fungi"},
    }
    analyses["screened"] = {
        **analyses["factory"],
        "motifs": None,
        "screen": {"analysis": "scanned", "target": "t", "width": 60, "top": 2, "regions": 5},
    }
    held_out = {**analyses["factory"], "fold_use": "held_out"}
    direct = {
        **analyses["zoo"], "regions": "arrays", "labels": {"t": {"dataset": "y"}},
    }  # fmt: skip
    letters = {**analyses["zoo"], "regions": "letters"}
    return {
        "browser": {"genome": True},
        "genome": {"fasta": "g.fa", "aliases": "aliases.tsv", "blacklist": "black.bed"},
        "regions": {
            "peaks": {"peaks": "peaks.bed"},
            "letters": {"fasta": "x.fa", "table": "t.tsv", "names": "n.txt", "select": {"c": ["x"]}},
            "arrays": {"hdf5": "x.h5", "dataset": "x"},
        },
        "variants": {"calls": {"vcf": "c.vcf", "analysis": "factory", "counts": {"t": "log"},
                               "signs": {"t": "t"}},
                     "listed": {"table": "c.tsv", "analysis": "held_out", "observed": "effect",
                                "observed_threshold": 0.5}},
        "insertions": {"all": {"analysis": "genomic", "words": "all", "pairs": "all", "sites": {"n": 5},
                               "spacings": {"step": 1}},
                       "own": {"analysis": "zoo", "motifs": {"x": "TGACTCA"}, "meme": "x.meme",
                               "backgrounds": {"kind": "fasta", "fasta": "b.fa", "n": None}},
                       "windows": {"analysis": "zoo", "motifs": {"x": "TGACTCA"},
                                   "backgrounds": {"kind": "genomic"}}},
        "comparisons": {"folds": {"analyses": ["factory"], "uncorrected": ["factory"],
                                  "yardstick": "factory"}},
        "contrasts": {"models": {"first": {"analysis": "factory", "target": "t"}, "hits": "second",
                                 "second": {"analysis": "genomic"}, "scale": "hits"}},
        "evolution": {"best": {"analysis": "zoo", "constraints": {"keep_bed": "k.bed", "forbidden": ["AR"]},
                               "guide": {"references": {"kind": "shuffle", "n": 5}}},
                      "own": {"analysis": "zoo", "start": {"kind": "fasta", "fasta": "b.fa"}},
                      "drawn": {"analysis": "zoo", "guide": {"name": "greedy"}, "start":
                                {"kind": "random", "composition": {"A": 20, "C": 30, "G": 30, "T": 20}}}},
        "models": {name: {"input_length": 100, **model} for name, model in MODELS.items()},
        "analyses": {
            **analyses, "labelled": labelled, "held_out": held_out, "direct": direct, "letters": letters
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str] | None]:
    """For each key of the schema the rules whose jobs change with it."""
    folder = tmp_path_factory.mktemp("keys")
    schema, out = ROOT / "workflow" / "schemas" / "config.schema.yaml", folder / "reached.json"
    (folder / "config.yaml").write_text(yaml.safe_dump(config()))
    (folder / "Snakefile").write_text(
        f"import sys\nfrom pathlib import Path\ninclude: {str(ROOT / 'Snakefile')!r}\n"
        f"sys.path.insert(0, {str(ROOT / 'tests')!r})\nimport key_walk\n"
        f"key_walk.walk(workflow, config, Path({str(schema)!r}), Path({str(out)!r}))\n"
    )
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "snakemake"), "--configfile", "config.yaml", "--list",
        ],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert out.exists(), done.stdout[-4000:]
    found: dict[str, list[str] | None] = json.loads(out.read_text())
    return found


def test_every_key_of_the_schema_reaches_a_job(reached: dict[str, list[str] | None]) -> None:
    asked = {k: v for k, v in reached.items() if k not in PARSED and not k.startswith(SECTIONS_PARSED)}
    assert len(asked) > 120
    absent = [key for key, rules in asked.items() if rules is None]
    assert not absent, "the config of this test has no example of these keys"
    without = {key for key, rules in asked.items() if not rules}
    assert without == COMMANDS | OF_THE_REPORT
    assert asked[AT_RUN_TIME] == ["verify_results"]


@pytest.mark.parametrize(
    ("key", "rules"),
    [
        ("seed", {"attribute_chunk", "extract_regions", "import_sequences", "aggregate_chunks"}),
        *(
            (f"regions.*.{key}", {"import_sequences"})
            for key in (
                "sample",
                "top",
                "order_by",
                "deduplicate",
                "max_unknown",
                "malformed",
                "table",
                "names",
                "select.*",
            )
        ),
        ("analyses.*.method.references.seed", {"attribute_chunk", "aggregate_chunks"}),
        ("analyses.*.motifs.max_seqlets", {"find_motifs"}),
        ("analyses.*.qc.on_fail", {"gate_attributions"}),
        ("analyses.*.predictions.outputs", {"predict_regions"}),
    ],
)
def test_a_key_reaches_the_jobs_that_it_is_for(
    reached: dict[str, list[str] | None], key: str, rules: set[str]
) -> None:
    assert rules <= set(reached[key] or ())
