"""The data stages' scripts run as Snakemake runs them: executed from elsewhere, with a stub object."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
PRELUDE = """
import runpy, sys
from types import SimpleNamespace

class Items(dict):
    __getattr__ = dict.__getitem__

def smk(log, threads=1, wildcards=None, **groups):
    groups = {name: Items(values) for name, values in groups.items()}
    stub = {"input": Items(), "output": Items(), "params": Items(), **groups}
    return SimpleNamespace(scriptdir=sys.argv[1], log=[log], threads=threads, wildcards=wildcards, **stub)

def run(name, **groups):
    stub = smk(f"logs/{name}.log", **groups)
    runpy.run_path(f"{sys.argv[1]}/{name}.py", init_globals={"snakemake": stub})
"""


def run(folder: Path, code: str) -> None:
    program = PRELUDE + textwrap.dedent(code)
    subprocess.run([sys.executable, "-c", program, str(SCRIPTS)], cwd=folder, check=True, timeout=120)


def test_from_simulation_to_sequences(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        index = {"fai": "index.fai", "gzi": "index.gzi"}
        size = {"chromosome_length": 20000, "peaks_per_assay": 20,
                "assays": {"enhancer": {"words": ["ap1", "spi1"]}, "insulator": {"words": ["ctcf"]}}}
        run("simulate_genome", params={"seed": 1, "options": size},
            output={"genome": "g.fa", "peaks": ["e.narrowPeak", "i.narrowPeak"], "truth": "t.tsv",
                    "motifs": "m.meme", "grammar": "grammar.tsv"})
        run("index_genome", input={"fasta": "g.fa"}, output={"chromosomes": "c.tsv", **index})
        run("extract_regions", input={"peaks": "e.narrowPeak", "fasta": "g.fa", **index},
            params={"options": {"length": 100}}, output={"regions": "r.bed", "dropped": "d.tsv"})
        run("encode_sequences", input={"regions": "r.bed", "fasta": "g.fa", "chromosomes": "c.tsv", **index},
            output={"sequences": "s.h5"}, threads=2)
        run("import_sequences", input={"source": "s.h5"}, params={"options": {"is_hdf5": True}},
            output={"regions": "r2.bed", "dropped": "d2.tsv", "sequences": "s2.h5"})
        """,
    )
    with h5py.File(tmp_path / "s.h5") as first, h5py.File(tmp_path / "s2.h5") as second:
        assert first["sequences"].shape == (20, 4, 100)
        assert (first["sequences"][:] == second["sequences"][:]).all()
    assert "20 regions kept" in (tmp_path / "logs" / "extract_regions.log").read_text()


def test_fetch_takes_the_mirror_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "x.bed").write_text("hello\n")
    monkeypatch.setenv("CISLEX_MIRROR", str(tmp_path / "mirror"))
    run(
        tmp_path,
        """
        import hashlib
        source = {"url": "https://example.org/x", "mirror": "x.bed",
                  "sha256": hashlib.sha256(b"hello\\n").hexdigest()}
        run("fetch_resources", params={"source": source}, output={"file": "out.bed"},
            wildcards=SimpleNamespace(file="out.bed"))
        """,
    )
    assert (tmp_path / "out.bed").read_text() == "hello\n"
