"""The original archives of CIFAR: where they are, what they are, and how to fetch one, once.

MD5 sums as torchvision.datasets.cifar holds them; they tell damage and mistakes, not forgery.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.data import BadData

_SITE = "https://www.cs.toronto.edu/~kriz"


@dataclass(frozen=True)
class Original:
    """An archive and the files in it that are read, with their MD5 sums."""

    archive: str
    md5: str
    files: dict[str, str]

    @property
    def url(self) -> str:
        return f"{_SITE}/{self.archive}"


ORIGINALS = {
    "cifar10": Original(
        "cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
    ),
    "cifar100": Original(
        "cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
        {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    ),
}


def check(name: str, file: str, content: bytes, where: str) -> None:
    """Raises BadData where `content` is not the original `file` of the set `name`."""
    found, wanted = hashlib.md5(content).hexdigest(), ORIGINALS[name].files[file]
    if found != wanted:
        raise BadData(
            f"--data-dir: {where} is not the {name} of {ORIGINALS[name].url} (its MD5 is {found}, "
            f"not {wanted}): it is damaged or another set; fetch it again: "
            f"python -m training.data fetch {name} --directory DIR"
        )


def fetch(name: str, directory: Path, url: str | None = None, timeout: float = 60.0) -> bool:
    """Put the archive of `name` into `directory`. False where it is there already.

    Of many processes on one file system one fetches, the others wait for it; what is there under
    the archive's name is whole. Raises BadData.
    """
    if name not in ORIGINALS:
        raise BadData(
            f"fetch: {name!r} is none of {', '.join(ORIGINALS)}; the others need no fetch"
        )
    original = ORIGINALS[name]
    target = directory / original.archive
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with open(directory / f".{original.archive}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if target.is_file() and _md5(target) == original.md5:
                return False
            _download(url or original.url, target, original.md5, timeout)
    except OSError as error:
        raise BadData(f"fetch: cannot write to {directory}: {error.strerror or error}") from error
    return True


class _Broken(Exception):
    """The network's fault, in words."""


def _download(url: str, target: Path, md5: str, timeout: float) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as stream:
            for content in _arriving(url, timeout):
                stream.write(content)
        found = _md5(part)
        if found != md5:
            raise BadData(f"fetch: {url} gave something else (its MD5 is {found}, not {md5})")
        os.replace(part, target)
    except _Broken as error:
        raise BadData(
            f"fetch: {url} cannot be had ({error}): try again, or without a way to the internet copy "
            f"{target.name} to {target.parent} by hand"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _arriving(url: str, timeout: float) -> Iterator[bytes]:
    """What is at the address, piece by piece. Raises _Broken.

    Apart from the writing: an OSError in here is the network's, one out there the disk's.
    """
    count = 0
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            while content := answer.read(1024 * 1024):
                count += len(content)
                yield content
            told = answer.headers.get("Content-Length", "")
    except (OSError, http.client.HTTPException, ValueError) as error:
        after = f" after {count:,} bytes" if count else ""
        raise _Broken(f"{getattr(error, 'reason', error)}{after}") from error
    if told.isdecimal() and count < int(told):
        raise _Broken(f"cut short: {count:,} of {int(told):,} bytes came")


def _md5(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()
