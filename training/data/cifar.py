"""CIFAR-10 and CIFAR-100 in the layout of the original (https://www.cs.toronto.edu/~kriz/cifar.html).

The files are Python pickles: they are read by a loader that knows nothing but arrays and their parts.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from training.data import BadData, DataSet, Split
from training.data.originals import check

VALIDATION = 5000
"""The last so many of the 50,000 training images are for validation."""

_LAYOUT = {
    10: ("cifar-10-batches-py", [f"data_batch_{i}" for i in range(1, 6)], "test_batch", b"labels"),
    100: ("cifar-100-python", ["train"], "test", b"fine_labels"),
}
_MEAN = {10: (0.4914, 0.4822, 0.4465), 100: (0.5071, 0.4865, 0.4409)}
_DEVIATION = {10: (0.247, 0.2435, 0.2616), 100: (0.2673, 0.2564, 0.2762)}
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


def load(classes: int, folder: Path | None) -> DataSet:
    """CIFAR from `folder`, which holds the unpacked directory or the archive. Raises BadData."""
    name = f"cifar{classes}"
    if folder is None:
        raise BadData(f"--data {name}: give --data-dir, the folder with {_LAYOUT[classes][0]}")
    _, batches, test_batch, key = _LAYOUT[classes]
    raw = _reader(classes, folder)

    def read(file: str) -> bytes:
        content = raw(file)
        check(name, file, content, f"{folder}: {file}")
        return content

    parts = [_split(read(batch), key, batch) for batch in batches]
    images = torch.cat([part.images for part in parts])
    labels = torch.cat([part.labels for part in parts])
    held = min(VALIDATION, len(labels) // 10)
    return DataSet(
        name,
        Split(images[:-held], labels[:-held]),
        Split(images[-held:], labels[-held:]),
        _split(read(test_batch), key, test_batch),
        classes,
        _MEAN[classes],
        _DEVIATION[classes],
    )


def _reader(classes: int, folder: Path) -> Callable[[str], bytes]:
    """Reads a file of the set, from its directory or from the archive beside it."""
    inside = _LAYOUT[classes][0]
    for directory in (folder / inside, folder):
        if (directory / _LAYOUT[classes][2]).is_file():
            return lambda name: _read(directory / name)
    archive = folder / f"cifar-{classes}-python.tar.gz"
    if not archive.is_file():
        raise BadData(f"--data-dir: {folder} holds neither {inside}/ nor {archive.name}")

    def read(name: str) -> bytes:
        try:
            with tarfile.open(archive, "r:gz") as packed:
                member = packed.extractfile(f"{inside}/{name}")
                if member is None:
                    raise KeyError(f"{inside}/{name} is no file")
                return member.read()
        except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
            raise BadData(f"cannot read {inside}/{name} from {archive}: {error}") from error

    return read


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadData(f"cannot read {path}: {error.strerror}") from error


def _split(content: bytes, key: bytes, name: str) -> Split:
    try:
        batch: dict[bytes, Any] = _Plain(io.BytesIO(content), encoding="bytes").load()
        pixels = torch.from_numpy(batch[b"data"].copy())
        labels = torch.tensor(batch[key], dtype=torch.int64)
        return Split(pixels.reshape(-1, 3, 32, 32), labels)
    except (pickle.UnpicklingError, KeyError, TypeError, RuntimeError, EOFError) as error:
        raise BadData(f"CIFAR's {name} is not what it should be: {error}") from error


class _Plain(pickle.Unpickler):
    """Unpickles arrays and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)
