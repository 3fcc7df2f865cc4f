"""Fashion-MNIST: the embedded subset (`training/embedded/README.md`), or the whole set in a folder."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import torch

from training.data import BadData, DataSet, Split

EMBEDDED = Path(__file__).parent.parent / "embedded"
MEAN, DEVIATION = (0.286,), (0.353,)
VALIDATION = 5000
"""Of the whole set's 60,000 training images, the last so many are for validation."""


def load(folder: Path | None) -> DataSet:
    """The embedded 5,000 + 2,000 images; or 55,000 + 5,000 + 10,000 from the original's files."""
    if folder is None:
        train, validation = _part(EMBEDDED, "train"), _part(EMBEDDED, "validation")
        return DataSet("fashion-subset", train, validation, None, 10, MEAN, DEVIATION)
    whole, test = _part(folder, "train"), _part(folder, "t10k")
    train = Split(whole.images[:-VALIDATION], whole.labels[:-VALIDATION])
    validation = Split(whole.images[-VALIDATION:], whole.labels[-VALIDATION:])
    return DataSet("fashion", train, validation, test, 10, MEAN, DEVIATION)


def _part(folder: Path, name: str) -> Split:
    images = read_idx(folder / f"{name}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{name}-labels-idx1-ubyte.gz")
    if len(images) != len(labels):
        raise BadData(f"{folder}: {name} has {len(images)} images and {len(labels)} labels")
    return Split(images.unsqueeze(1), labels.long())


def read_idx(path: Path) -> torch.Tensor:
    """A gzipped file of unsigned bytes in the IDX format (http://yann.lecun.com/exdb/mnist/)."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise BadData(f"cannot read {path}: {error}") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise BadData(f"{path} is no IDX file of bytes")
    dimensions = content[3]
    shape = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions)]
    start = 4 + 4 * dimensions
    count = len(content) - start
    if count < 1 or count != torch.Size(shape).numel():
        raise BadData(f"{path} is cut off: {max(count, 0)} bytes for a shape of {shape}")
    pixels = torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8)
    return pixels.reshape(shape)
