"""Makes the embedded subset from the whole Fashion-MNIST (Debian's package dataset-fashion-mnist).

Both parts come from the 60,000 training images, 500 and 200 of each class; the official test images
are left alone, since a search that looks at them would choose hyperparameters for them.

    python training/embedded/make_subset.py /usr/share/datasets/fashion-mnist
"""

import gzip
import random
import sys
from pathlib import Path

HERE = Path(__file__).parent
PIXELS = 28 * 28
PARTS = {"train": 500, "validation": 200}


def main(source: Path) -> None:
    """Write the four IDX files beside this program."""
    images = gzip.decompress((source / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((source / "train-labels-idx1-ubyte.gz").read_bytes())[8:]
    chance = random.Random(20261123)
    order = list(range(len(labels)))
    chance.shuffle(order)
    by_class = {digit: [i for i in order if labels[i] == digit] for digit in range(10)}
    taken = 0
    for part, each in PARTS.items():
        chosen = [i for digit in range(10) for i in by_class[digit][taken : taken + each]]
        chance.shuffle(chosen)
        taken += each
        pixels = b"".join(images[i * PIXELS : (i + 1) * PIXELS] for i in chosen)
        _write(f"{part}-images-idx3-ubyte.gz", (len(chosen), 28, 28), pixels)
        _write(f"{part}-labels-idx1-ubyte.gz", (len(chosen),), bytes(labels[i] for i in chosen))


def _write(name: str, shape: tuple[int, ...], content: bytes) -> None:
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    # No time stamp in the file: the same subset has the same bytes.
    (HERE / name).write_bytes(gzip.compress(header + content, 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
