"""What goes wrong in a region is said of that region: NaN, a model that raises, and one that leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cislex.chunks.attribute import ChunkJob, attribute_chunk
from cislex.errors import ModelError
from cislex.prediction.predict import predict_regions
from cislex.sequences.importing import import_sequences
from torch import nn

#: Behaves in check_model and on most sequences, and not on those that begin with TTTTTT.
MODEL = """
import sys, torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.dense = nn.Conv1d(4, 3, 5), nn.Linear(3, 1)

    def forward(self, x):
        odd = x[:, 3, :6].sum(1) > 5
        value = self.dense(self.conv(x).relu().mean(-1))
        {line}
        return value

def build():
    return Net()
"""
LINES = {
    "NaN": "value = value + torch.where(odd, torch.nan, 0.0)[:, None]",
    "ValueError: an odd one": "if odd.any(): raise ValueError('an odd one')",
    r"sys\.exit\(4\) was called": "if odd.any(): sys.exit(4)",
}
N, LENGTH = 6, 30


@pytest.fixture(params=LINES)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    letters = np.random.default_rng(0).integers(0, 4, (N, LENGTH))
    rows = ["".join("ACGT"[c] for c in row) for row in letters]
    rows[4] = "TTTTTT" + rows[4][6:]
    (tmp_path / "s.fa").write_text("".join(f">s{i}\n{row}\n" for i, row in enumerate(rows)))
    out = [tmp_path / name for name in ("regions.bed", "dropped.tsv", "sequences.h5")]
    import_sequences(tmp_path / "s.fa", *out, length=LENGTH)
    (tmp_path / "model.py").write_text(MODEL.format(line=LINES[request.param]))
    net = nn.ModuleDict({"conv": nn.Conv1d(4, 3, 5), "dense": nn.Linear(3, 1)})
    torch.save(net.state_dict(), tmp_path / "w.pt")
    return {"folder": tmp_path, "message": request.param, "module": f"{tmp_path / 'model.py'}:build"}


def test_a_chunk_names_the_region_at_which_it_failed(project: dict[str, Any]) -> None:
    folder = project["folder"]
    job = ChunkJob(
        chunk=0, chunks=1, fold="f", targets={"t": {"kind": "output"}}, method={"name": "saliency"}
    )
    with pytest.raises(ModelError, match=project["message"].replace("NaN", "nan")) as caught:
        attribute_chunk(
            folder / "sequences.h5", folder / "w.pt", folder / "c.h5", job,
            model={"loader": "factory", "module": project["module"]}, device="cpu", batch_size=1,
        )  # fmt: skip
    assert "s4 (row 4)" in str(caught.value)


def test_predictions_name_the_region_at_which_they_failed(project: dict[str, Any]) -> None:
    folder = project["folder"]
    with pytest.raises(ModelError, match=project["message"]) as caught:
        predict_regions(
            folder / "sequences.h5", {"f": folder / "w.pt"}, folder / "p.h5", folder / "p.tsv",
            loader="factory", module=project["module"], wanted={"t": {"kind": "output"}},
            batch_size=4, device="cpu",
        )  # fmt: skip
    assert "s4 (row 4)" in str(caught.value)
