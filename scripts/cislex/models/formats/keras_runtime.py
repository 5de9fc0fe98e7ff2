"""Import Keras with PyTorch as its backend, in one place."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cislex.errors import ModelError

#: What Keras reads when it is imported: its backend, its device for new tensors, and its folder, here one in
#: which nothing can be found or written.
_SETTINGS = {"KERAS_BACKEND": "torch", "KERAS_TORCH_DEVICE": "cpu", "KERAS_HOME": os.devnull}


def import_keras() -> Any:
    """Keras 3 on PyTorch.

    Keras chooses its backend when it is imported, and reads and writes ``~/.keras/keras.json``. Here it reads
    neither this file nor the environment, so that results do not depend on them.

    Raises
    ------
    ModelError
        When Keras is not installed, or was imported before with another backend.
    """
    if "keras" not in sys.modules:
        with _environment(_SETTINGS):
            try:
                importlib.import_module("keras")
            except ImportError as error:
                raise ModelError(
                    f"loader: keras needs Keras 3 (pip install keras), which cannot be imported: {error}"
                ) from error
    keras = sys.modules["keras"]
    backend = keras.config.backend() if hasattr(keras, "config") else "tensorflow"
    if backend != "torch":
        raise ModelError(
            f"Keras was imported before with the backend {backend}; attribution needs torch: set the "
            "environment variable KERAS_BACKEND=torch before anything imports keras"
        )
    return keras


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Environment variables, set for a while."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
