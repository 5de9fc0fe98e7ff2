"""AnnData files (``.h5ad``) in their published on-disk format, version 0.1.0, written without the library.

anndata.readthedocs.io describes the format ("On-disk format"): every group and dataset says by attributes
what it is. scanpy, anndata and its readers in R open what is written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.files.hdf5 import new_hdf5
from cislex.files.tables import atomic_path

#: Name of the dataset that holds the names of rows or columns.
INDEX = "_index"
#: Groups that are there even where they are empty.
EMPTY = ("obsm", "varm", "obsp", "varp", "uns")


def write_h5ad(
    path: str | Path,
    matrix: NDArray[np.float64],
    *,
    rows: pd.DataFrame,
    columns: pd.DataFrame,
    layers: Mapping[str, NDArray[np.float64]],
) -> None:
    """Write an annotated matrix atomically; equal values make equal bytes.

    Parameters
    ----------
    path
        The file.
    matrix
        float64 (n, m): ``X``.
    rows, columns
        ``obs`` and ``var``: tables of n and m rows; their index holds names, which differ. Columns are text
        or numbers.
    layers
        Further matrices (n, m) by name.

    Raises
    ------
    StorageError
        When the folder cannot be written, or the disk is full.
    """
    with atomic_path(path) as temporary, new_hdf5(temporary) as handle:
        _mark(handle, "anndata", "0.1.0")
        _write_array(handle, "X", matrix)
        _write_table(handle, "obs", rows)
        _write_table(handle, "var", columns)
        for name in ("layers", *EMPTY):
            _mark(handle.create_group(name), "dict", "0.1.0")
        for name, values in layers.items():
            _write_array(handle["layers"], name, values)


def _mark(item: Any, kind: str, version: str) -> None:
    item.attrs["encoding-type"], item.attrs["encoding-version"] = kind, version


def _write_array(group: h5py.Group, name: str, values: NDArray[Any]) -> None:
    packed = {"compression": "gzip", "shuffle": True, "fletcher32": True}
    options = packed if values.size else {}
    _mark(group.create_dataset(name, data=values, **options), "array", "0.2.0")


def _write_texts(group: h5py.Group, name: str, texts: pd.Series | pd.Index) -> None:
    values = np.array([str(text) for text in texts], dtype=object)
    _mark(group.create_dataset(name, data=values, dtype=h5py.string_dtype()), "string-array", "0.2.0")


def _write_table(parent: h5py.Group, name: str, table: pd.DataFrame) -> None:
    group = parent.create_group(name)
    _mark(group, "dataframe", "0.2.0")
    group.attrs["_index"] = INDEX
    group.attrs.create("column-order", np.array(list(table), dtype=object), dtype=h5py.string_dtype())
    _write_texts(group, INDEX, table.index)
    for column in table:
        if pd.api.types.is_numeric_dtype(table[column]):
            _write_array(group, str(column), table[column].to_numpy())
        else:
            _write_texts(group, str(column), table[column])
