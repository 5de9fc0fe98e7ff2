"""Walks as arrays of a checkpoint, and the files that are made of them.

``evolution.h5`` has, of n sequences at their first, middle and last round, ``rounds`` int64 (n, 3),
``sequences`` uint8 (n, 3, 4, L) and ``contributions`` float32 (n, 3, L): the guide's score of the present
bases, minus the mean over bases; and ``regions/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex import provenance
from cislex.alphabet import BASES
from cislex.design.starts import Starts
from cislex.design.walk import STOPS, Objective, State
from cislex.errors import StorageError
from cislex.files.checkpoint import Checkpoint
from cislex.files.hdf5 import new_hdf5
from cislex.files.tables import FORMAT_VERSION, atomic_path, create_array, write_regions, write_table_parts
from cislex.logs import get_logger
from cislex.provenance import versions
from cislex.sequences.store import to_one_hot

logger = get_logger("design")

Arrays = dict[str, NDArray[Any]]
#: Columns of ``trajectories.tsv`` before and after the predictions of the targets.
BEFORE = ("sequence", "round", "position_0based", "from", "to", "objective")
AFTER = ("promised", "skipped_noops", "skipped_cycles", "refused", "stop")


@dataclass(frozen=True)
class EvolutionFiles:
    """What is written: ``trajectories.tsv``, ``evolved.fa`` and ``evolution.h5``."""

    table: str | Path
    fasta: str | Path
    arrays: str | Path


def pack(states: Sequence[State], rounds: int) -> Arrays:
    """The walks that lead to some states, as arrays.

    Returns
    -------
    dict
        ``edits`` int64 (n, rounds + 1, 6): position, from, to, skipped no-ops and cycles, refused;
        ``promised`` (n, rounds + 1); ``predictions`` (n, rounds + 1, T); ``length`` and ``stop`` int64 (n,);
        ``shown`` int64 (n, 3), ``sequences`` uint8 (n, 3, L), ``contributions`` float32 (n, 3, L).
    """
    n, length, targets = len(states), len(states[0].codes), len(states[0].predictions)
    found: Arrays = {
        "edits": np.full((n, rounds + 1, 6), -1, np.int64),
        "promised": np.full((n, rounds + 1), np.nan),
        "predictions": np.full((n, rounds + 1, targets), np.nan),
        "length": np.empty(n, np.int64),
        "stop": np.array([STOPS.index(state.stop) for state in states], np.int64),
        "shown": np.empty((n, 3), np.int64),
        "sequences": np.empty((n, 3, length), np.uint8),
        "contributions": np.empty((n, 3, length), np.float32),
    }
    for row, state in enumerate(states):
        path = state.path()
        for number, one in enumerate(path):
            if one.parent is not None:
                skipped = (one.skipped.noop, one.skipped.cycle, one.skipped.constraint)
                old = int(one.parent.codes[one.position])
                found["edits"][row, number] = (one.position, old, one.base, *skipped)
                found["promised"][row, number] = one.promised
            found["predictions"][row, number] = one.predictions
        found["length"][row] = len(path)
        found["shown"][row] = (0, (len(path) - 1) // 2, len(path) - 1)
        for place, number in enumerate(found["shown"][row]):
            found["sequences"][row, place] = path[number].codes
            found["contributions"][row, place] = path[number].contributions
    return found


def write_results(
    log: Checkpoint,
    starts: Starts,
    names: Sequence[str],
    objective: Objective,
    files: EvolutionFiles,
    identity: Mapping[str, Any],
) -> None:
    """Write all files from a checkpoint that is whole, block by block.

    Parameters
    ----------
    log
        The checkpoint.
    starts
        The sequences.
    names, objective
        Names of the targets, and what was raised or lowered.
    files
        Paths.
    identity
        What the results depend on, for the attributes of ``evolution.h5``.
    """
    n, length = starts.codes.shape
    if log.rows != n:
        raise StorageError(f"{log.path}: holds {log.rows} of {n} sequences; delete it and run again")

    def blocks() -> Iterator[tuple[list[str], Arrays]]:
        for first, last, arrays, _ in log.records():
            yield starts.names[first:last], arrays

    columns = [*BEFORE, *(f"prediction_{name}" for name in names), *AFTER]
    empty = pd.DataFrame(columns=columns)
    tables = (trajectories(own, arrays, names, objective)[columns] for own, arrays in blocks())
    write_table_parts(tables if n else [empty], files.table)
    with atomic_path(files.fasta) as temporary, open(temporary, "w", encoding="utf-8") as handle:
        for own, arrays in blocks():
            handle.writelines(_records(own, arrays, names, objective))
    stops: Counter[str] = Counter()
    with atomic_path(files.arrays) as temporary, new_hdf5(temporary) as h5:
        rounds = create_array(h5, "rounds", (n, 3), "i8")
        sequences = create_array(h5, "sequences", (n, 3, 4, length), "u1")
        contributions = create_array(h5, "contributions", (n, 3, length), "f4")
        for first, last, arrays, _ in log.records():
            onehot = to_one_hot(arrays["sequences"].reshape(-1, length)).reshape(-1, 3, 4, length)
            rounds[first:last], sequences[first:last] = arrays["shown"], onehot
            contributions[first:last] = arrays["contributions"]
            stops.update(STOPS[stop] for stop in arrays["stop"])
        write_regions(h5, starts.regions)
        attributes = {"format_version": FORMAT_VERSION, **identity, "versions": versions()}
        h5.attrs.update(provenance.to_attributes(attributes))
    said = ", ".join(f"{count} {stop}" for stop, count in stops.most_common()) or "none"
    logger.info("%d sequences evolved; stopped by: %s", n, said)


def trajectories(
    sequences: Sequence[str], arrays: Arrays, names: Sequence[str], objective: Objective
) -> pd.DataFrame:
    """Rows of ``trajectories.tsv``: each sequence at round 0 and after each edit."""
    lengths = arrays["length"]
    row = np.repeat(np.arange(len(lengths)), lengths)
    number = np.concatenate([np.arange(length) for length in lengths])
    edits = pd.DataFrame(arrays["edits"][row, number]).astype("Int64")
    edits[number == 0] = pd.NA
    predictions = arrays["predictions"][row, number]
    letters = [edits[column].map(dict(enumerate(BASES))) for column in (1, 2)]
    stops = np.array(STOPS)[arrays["stop"]][row]
    return pd.DataFrame(
        {
            "sequence": np.array(sequences, object)[row],
            "round": number,
            "position_0based": edits[0],
            "from": letters[0],
            "to": letters[1],
            "objective": objective.value(predictions.T),
            **{f"prediction_{name}": predictions[:, t] for t, name in enumerate(names)},
            "promised": arrays["promised"][row, number],
            "skipped_noops": edits[3],
            "skipped_cycles": edits[4],
            "refused": edits[5],
            "stop": np.where(number == lengths[row] - 1, stops, ""),
        }
    )


def _records(
    sequences: Sequence[str], arrays: Arrays, names: Sequence[str], objective: Objective
) -> Iterator[str]:
    """Records of the last sequences, with their predictions."""
    for row, name in enumerate(sequences):
        last = int(arrays["length"][row]) - 1
        values = arrays["predictions"][row, last]
        said = [f"{target}={value:.6g}" for target, value in zip(names, values, strict=True)]
        text = "".join(BASES[code] for code in arrays["sequences"][row, 2])
        score = f"edits={last} objective={objective.value(values):.6g}"
        yield f">{name} {score} {' '.join(said)}\n{text}\n"
