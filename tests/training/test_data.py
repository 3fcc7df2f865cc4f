import gzip
import hashlib
import pickle
import tarfile
from dataclasses import replace

import numpy
import pytest
import torch

from training.data import BadData, load_data
from training.data.originals import ORIGINALS


def write_cifar(folder, classes=100, train=100, test=20, odd=None):
    """A small set in the layout of the original."""
    key = b"fine_labels" if classes == 100 else b"labels"
    inside = folder / ("cifar-100-python" if classes == 100 else "cifar-10-batches-py")
    inside.mkdir(parents=True)
    files = {"train": train, "test": test}
    if classes == 10:
        files = {**{f"data_batch_{i}": train // 5 for i in range(1, 6)}, "test_batch": test}
    for name, count in files.items():
        pixels = numpy.arange(count * 3072, dtype=numpy.uint8).reshape(count, 3072)
        batch = {b"data": pixels, key: [i % classes for i in range(count)]}
        (inside / name).write_bytes(pickle.dumps(odd or batch, protocol=2))
    return inside


@pytest.fixture
def take_as_original(monkeypatch):
    """Makes the files in a directory those that the set is known by."""

    def take(classes, inside):
        sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in inside.iterdir()}
        name = f"cifar{classes}"
        monkeypatch.setitem(ORIGINALS, name, replace(ORIGINALS[name], files=sums))

    return take


def test_the_embedded_images_are_balanced_and_the_parts_are_disjoint():
    data = load_data("fashion")
    assert data.test is None
    for part, each in ((data.train, 500), (data.validation, 200)):
        assert part.labels.bincount().tolist() == [each] * 10
    seen = [{i.numpy().tobytes() for i in part.images} for part in (data.train, data.validation)]
    assert len(seen[0] & seen[1]) <= 2  # the original holds a few images twice
    pixels = data.train.images.float() / 255
    assert pixels.mean().item() == pytest.approx(data.mean[0], abs=0.005)
    assert pixels.std().item() == pytest.approx(data.deviation[0], abs=0.005)


@pytest.mark.parametrize("classes", [10, 100])
def test_cifar_is_read_from_a_folder_and_from_an_archive(tmp_path, classes, take_as_original):
    inside = write_cifar(tmp_path / "folder", classes)
    take_as_original(classes, inside)
    found = load_data(f"cifar{classes}", tmp_path / "folder")
    assert (len(found.train.labels), len(found.validation.labels), len(found.test.labels)) == (
        90,
        10,
        20,
    )
    assert found.train.images.shape == (90, 3, 32, 32)
    # Row-major, channel after channel, as the original says.
    assert found.train.images[0, 0, 0, :3].tolist() == [0, 1, 2]
    assert found.train.images[0, 1, 0, 0].item() == 1024 % 256
    with tarfile.open(tmp_path / f"cifar-{classes}-python.tar.gz", "w:gz") as archive:
        archive.add(inside, inside.name)
    again = load_data(f"cifar{classes}", tmp_path)
    assert torch.equal(again.test.images, found.test.images)


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys, take_as_original):
    take_as_original(100, write_cifar(tmp_path, odd={b"data": Evil()}))
    with pytest.raises(BadData, match="it asks for"):
        load_data("cifar100", tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [("cifar100", "--data-dir"), ("imagenet", "'imagenet' is none of fashion")],
)
def test_data_that_cannot_be_found_is_a_message(name, words):
    with pytest.raises(BadData, match=words):
        load_data(name)


def test_cifar_with_another_hash_is_refused(tmp_path):
    write_cifar(tmp_path)
    with pytest.raises(BadData, match=r"train is not the cifar100 of https.*its MD5 is"):
        load_data("cifar100", tmp_path)


def test_files_that_are_cut_off_are_a_message(tmp_path, take_as_original):
    with pytest.raises(BadData, match="cannot read"):
        load_data("fashion", tmp_path)
    images = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2, 28, 28)) + b"x" * 100
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    with pytest.raises(BadData, match="cut off"):
        load_data("fashion", tmp_path)
    (tmp_path / "cifar-100-python").mkdir()
    for name in ("train", "test"):
        (tmp_path / "cifar-100-python" / name).write_bytes(b"\x80\x02}")
    take_as_original(100, tmp_path / "cifar-100-python")
    with pytest.raises(BadData, match="not what it should be"):
        load_data("cifar100", tmp_path)


def test_the_synthetic_set_says_that_it_is_one():
    assert load_data("synthetic").name == "synthetic"
