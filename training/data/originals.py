"""The original archives of CIFAR: where they are, what they are, and how to fetch one, once.

MD5 sums as torchvision.datasets.cifar holds them; they tell damage and mistakes, not forgery.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import urllib.error
import urllib.request
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


def _download(url: str, target: Path, md5: str, timeout: float) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer, open(part, "wb") as stream:
            shutil.copyfileobj(answer, stream, 1024 * 1024)
        found = _md5(part)
        if found != md5:
            raise BadData(f"fetch: {url} gave something else (its MD5 is {found}, not {md5})")
        os.replace(part, target)
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise BadData(
            f"fetch: {url} cannot be had ({reason}): without a way to the internet, copy "
            f"{target.name} to {target.parent} by hand"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()
