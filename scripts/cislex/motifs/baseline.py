"""The baseline that a trained classifier must beat: the best known motif, scanned over the same windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cislex.errors import InputError
from cislex.files.tables import write_table
from cislex.logs import get_logger, progress
from cislex.metrics import RankedLabels, compare, evaluate
from cislex.motifs.files import MemeMotif, read_meme, reverse_complement
from cislex.regions.genome import UNKNOWN, encode_letters
from cislex.training.held_out import read_held_out

#: Validation windows at most by which the motif of a task is chosen.
CHOICE = 2000
#: Windows scanned at once by all motifs of a width.
BATCH = 256
#: Pseudocount of a matrix, in sites.
PSEUDOCOUNT = 1.0
#: Steps of a bit in which log-odds are written: sums of them are exact in float32, so that equal sites tie in
#: whatever order they are added up (either strand, any batch), as average precision needs.
GRID = 1 << 14
COLUMNS = ["task", "split", "pwm_id", "pwm_name", "pwm_auroc", "pwm_auroc_low", "pwm_auroc_high",
           "pwm_auprc", "pwm_auprc_low", "pwm_auprc_high",
           "auprc_gain", "auprc_gain_low", "auprc_gain_high"]  # fmt: skip

logger = get_logger(__name__)


def score_baseline(
    held_out: str | Path,
    databases: Sequence[str | Path],
    baseline: str | Path,
    *,
    n_bootstrap: int = 200,
    seed: int = 0,
    threads: int = 1,
) -> pd.DataFrame:
    """Score the best known motif for each task on the windows that the model was scored on.

    A window's score is the highest log-odds of the motif at any place on either strand. Each task's motif is
    the one with the highest AUPRC on the validation windows, as the model's epoch is chosen there; the test
    windows are then scored once.

    Parameters
    ----------
    held_out
        Table of ``held_out.write_held_out``, of a classifier.
    databases
        MEME files of known motifs.
    baseline
        Written: ``COLUMNS``, one row per task and split.
    n_bootstrap, seed
        See :func:`cislex.metrics.evaluate`.
    threads
        Threads of torch.

    Returns
    -------
    DataFrame
        What was written.

    Raises
    ------
    InputError
        When the table holds no classes, or no motif fits into a window.
    """
    table, tasks = read_held_out(held_out)
    labels = table[[f"{task}.observed" for task in tasks]].to_numpy()
    if not np.isin(labels, (0, 1)).all():
        raise InputError(f"{held_out}: observations are not 0 or 1; the motif-scan baseline needs classes")
    codes = np.stack([encode_letters(s.encode(), where=str(held_out)) for s in table["sequence"]])
    known = [motif for database in databases for motif in read_meme(database)]
    motifs = [motif for motif in known if motif.ppm.shape[1] <= codes.shape[1]]
    if not motifs:
        raise InputError(
            f"{', '.join(map(str, databases))}: no motif fits into windows of {codes.shape[1]} bp"
        )
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        rows = _score(table, tasks, labels.astype(np.uint8), codes, motifs, n_bootstrap, seed)
    finally:
        torch.set_num_threads(before)
    found = pd.concat(rows, ignore_index=True)[COLUMNS]
    for row in found.itertuples():
        logger.info(
            "%s, %s: %s (%s) AUROC %.3f, AUPRC %.3f",
            row.task, row.split, row.pwm_name, row.pwm_id, row.pwm_auroc, row.pwm_auprc,
        )  # fmt: skip
    write_table(found, baseline)
    return found


def _score(
    table: pd.DataFrame,
    tasks: Sequence[str],
    labels: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    motifs: Sequence[MemeMotif],
    n_bootstrap: int,
    seed: int,
) -> list[pd.DataFrame]:
    background = np.bincount(codes.ravel(), minlength=5)[:UNKNOWN] + 1.0
    matrices = [log_odds(motif, background / background.sum()) for motif in motifs]
    split = table["split"].to_numpy()
    predicted = table[[f"{task}.predicted" for task in tasks]].to_numpy(np.float64)
    chosen = _choose(codes, labels, np.flatnonzero(split == "validation"), matrices, seed)
    scores = np.empty(labels.shape, dtype=np.float64)
    for best in np.unique(chosen):
        scores[:, chosen == best] = scan(codes, [matrices[best]])
    rows = []
    for name in dict.fromkeys(split.tolist()):
        here = split == name
        options = {"tasks": tasks, "split": name, "n_bootstrap": n_bootstrap, "seed": seed}
        scored = evaluate(labels[here], scores[here], **options)
        scored = scored.rename(columns={c: f"pwm_{c}" for c in scored if str(c).startswith("au")})
        names = {
            "pwm_id": [motifs[i].identifier for i in chosen],
            "pwm_name": [motifs[i].name for i in chosen],
        }
        gain = compare(labels[here], predicted[here], scores[here], n_bootstrap=n_bootstrap, seed=seed)
        gains = {f"auprc_gain{end}": gain[:, k] for k, end in enumerate(("", "_low", "_high"))}
        rows.append(scored.assign(**names, **gains))
    return rows


def _choose(
    codes: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    matrices: Sequence[NDArray[np.float32]],
    seed: int,
) -> NDArray[np.int64]:
    """The motif of each task with the highest AUPRC on some windows, int64 (tasks,)."""
    if len(rows) > CHOICE:
        rows = np.sort(np.random.default_rng([seed, 3]).choice(rows, CHOICE, replace=False))
    scores = scan(codes[rows], matrices)
    best = []
    for task in range(labels.shape[1]):
        truth = labels[rows, task] == 1
        if truth.all() or not truth.any():
            raise InputError("no motif can be chosen: all or none of the validation windows are positive")
        best.append(int(np.argmax([RankedLabels(truth, column).areas()[1] for column in scores.T])))
    return np.array(best)


def log_odds(motif: MemeMotif, background: NDArray[np.float64]) -> NDArray[np.float32]:
    """Log-odds in bits of a motif against base frequencies (4,): float32 (4, width)."""
    sites = max(motif.nsites, 1)
    frequencies = (motif.ppm * sites + PSEUDOCOUNT * background[:, None]) / (sites + PSEUDOCOUNT)
    return (np.rint(np.log2(frequencies / background[:, None]) * GRID) / GRID).astype(np.float32)


def scan(codes: NDArray[np.uint8], matrices: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Highest score of each matrix at any place of each sequence, on either strand.

    Parameters
    ----------
    codes
        uint8 (N, L), 0 A, 1 C, 2 G, 3 T, 4 unknown, which scores 0.
    matrices
        Each float32 (4, width), width at most L.

    Returns
    -------
    float32 (N, matrices)
    """
    widths = np.array([matrix.shape[1] for matrix in matrices])
    found = np.empty((len(codes), len(matrices)), dtype=np.float32)
    onehot = torch.cat([torch.eye(4), torch.zeros(1, 4)])
    filters = {}
    for width in np.unique(widths):
        same = [matrices[int(i)].astype(np.float64) for i in np.flatnonzero(widths == width)]
        both = [strand for matrix in same for strand in (matrix, reverse_complement(matrix))]
        filters[int(width)] = torch.from_numpy(np.stack(both).astype(np.float32))
    starts = range(0, len(codes), BATCH)
    with torch.inference_mode():
        for start in progress(starts, total=len(codes), label="scan", unit="windows", weight=BATCH):
            rows = slice(start, start + BATCH)
            x = onehot[torch.from_numpy(codes[rows]).long()].transpose(1, 2).contiguous()
            for width, weight in filters.items():
                top = torch.nn.functional.conv1d(x, weight).amax(dim=2)
                found[rows, widths == width] = top.view(len(x), -1, 2).amax(dim=2).numpy()
    return found
