"""An in-silico experiment that cannot work is refused when the plan is made, with what to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex.insertions.inserts import LETTERS
from cislex_workflow.config import configuration, insertion_checks

ROOT = Path(__file__).resolve().parents[3]


def problems(settings: dict[str, Any], **changes: Any) -> str:
    """What is said of an experiment in an analysis with hits, of sequences of 100 bp."""
    analysis = {"regions": "own", "model": "net", "targets": {"t": {"kind": "output"}}, "hits": {}}
    config = {
        "regions": {"own": {"fasta": "x.fa"}},
        "models": {"net": {"loader": "factory", "module": "m.py:f", "folds": {"a": "a.pt"},
                           "input_length": 100}},
        "analyses": {"first": analysis},
        "insertions": {"x": {"analysis": "first", **settings}},
        **changes,
    }  # fmt: skip
    schema = ROOT / "workflow" / "schemas" / "config.schema.yaml"
    try:
        configuration.resolve(yaml.safe_load(yaml.safe_dump(config)), schema)
    except configuration.ConfigurationError as error:
        return str(error)
    return ""


OWN = {"motifs": {"ap1": "TGACTCA", "ets": "CCGGAAGT"}}
CASES: list[tuple[dict[str, Any], str]] = [
    ({"words": "all"}, ""),
    ({**OWN, "pairs": [["ap1", "ets"]], "spacings": {"to": 92}}, ""),
    ({"words": ["FOS"], "sites": {"contexts": 5}, "backgrounds": {"n": 5}}, ""),
    ({**OWN, "backgrounds": {"kind": "fasta", "fasta": "b.fa", "n": None}}, ""),
    ({}, "words: nothing is inserted"),
    ({"words": "FOS"}, "words: found 'FOS', expected all, a list of texts or null; write [FOS]"),
    ({"analysis": "firts", "words": "all"}, "did you mean 'first'"),
    ({"motifs": {"bad": "TGXA"}}, "motifs.bad: found X; expected letters of IUPAC"),
    ({"motifs": {"bad": "nn"}}, "motifs.bad: found nn"),
    ({"motifs": {"wide": "A" * 101}}, "motifs.wide: 101 bp, longer than the sequences (100 bp)"),
    ({**OWN, "pairs": [["ap1", "est"]]}, "pairs: no motif 'est' in motifs: ap1, ets; did you mean 'ets'"),
    ({**OWN, "pairs": "each"}, "pairs: found 'each', expected all, a list of lists of 2 texts"),
    ({**OWN, "pairs": "all", "spacings": {"to": 93}}, "spacings.to: a pair 93 bp apart takes 101 bp"),
    ({**OWN, "pairs": "all", "spacings": {"from": 30, "to": 20}}, "from is 30 and to is 20"),
    ({**OWN, "backgrounds": {"kind": "fasta"}}, "backgrounds.fasta: required with kind: fasta"),
    ({**OWN, "backgrounds": {"fasta": "b.fa"}}, "only valid there"),
    ({**OWN, "backgrounds": {"n": None}}, "backgrounds.n: null is only valid with kind: fasta"),
    ({**OWN, "backgrounds": {"kind": "genomic"}}, "genome: needed by insertions.x.backgrounds (genomic)"),
    ({**OWN, "sites": {}}, "sites: sites are of words"),
    ({"words": "all", "sites": {"target": "u"}}, "sites.target: no 'u' in the targets: t"),
    ({"words": "all", "sites": {"contexts": 101}}, "sites.contexts: 101 of 100 backgrounds"),
]


@pytest.mark.parametrize(("settings", "message"), CASES, ids=[text or "valid" for _, text in CASES])
def test_what_cannot_work_is_said_with_the_plan(settings: dict[str, Any], message: str) -> None:
    found = problems(settings)
    assert message in found
    assert bool(found) == bool(message)


def test_words_need_a_lexicon_and_sites_need_hits() -> None:
    assert "words: there is no lexicon" in problems({"words": "all"}, lexicon=None)
    analysis = {"regions": "own", "model": "net", "targets": {"t": {"kind": "output"}}}
    found = problems({"words": "all", "sites": {}}, analyses={"first": analysis})
    assert "analysis first has no hits; set hits: {} there, or sites: null" in found


def test_letters_are_those_of_the_library() -> None:
    assert set(LETTERS) == insertion_checks.LETTERS
