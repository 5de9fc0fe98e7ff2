"""Name regions, not example numbers, in errors of computations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from cislex.errors import CislexError, ModelError, message_of, offenders
from cislex.regions.extraction import locus
from cislex.sequences.store import SequenceStore


def locus_of_row(store: SequenceStore, row: int) -> str:
    """The place of a region on the genome, or the name and row of one without."""
    region = store.regions(row, row + 1).iloc[0]
    return locus(region) if region["chrom"] else f"{region['name']} (row {row})"


@contextmanager
def naming_regions(store: SequenceStore, rows: NDArray[np.int64], done: Callable[[], int]) -> Iterator[None]:
    """Add the regions to what is raised inside.

    Parameters
    ----------
    store
        The regions.
    rows
        Row of each example.
    done
        How many examples are finished.

    Raises
    ------
    ModelError
        With the regions of the examples that an error names; for whatever else the model or the user's code
        raises, ``sys.exit`` included, with the region at which its batch begins.
    """
    try:
        yield
    except ModelError as error:
        if not error.rows:
            raise
        named = offenders(locus_of_row(store, int(rows[row])) for row in error.rows)
        raise ModelError(f"{error} (regions {named})", rows=error.rows) from error.__cause__
    except (CislexError, torch.OutOfMemoryError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        first = locus_of_row(store, int(rows[min(done(), len(rows) - 1)]))
        raise ModelError(
            f"the model failed in the batch that begins with region {first}: {message_of(error)}"
        ) from error
