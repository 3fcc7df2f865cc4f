"""Checkpoints: written by rename, the last two and the best kept, a broken one passed over."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch

from training.notices import warn

LAST, BEFORE, BEST = "last.pt", "before.pt", "best.pt"

State: TypeAlias = dict[str, Any]


class Kept(NamedTuple):
    """A state, and the file that it was read from."""

    path: Path
    state: State


class Keeper:
    """Decides when an epoch's state goes to the disk, and holds in memory what has to wait."""

    def __init__(self, directory: Path, every: int, *, is_aside: bool = False) -> None:
        """`every`: epochs between two writes; 0: nothing is ever kept.

        `is_aside`: a thread writes while training goes on. A device would be idle for as long as a slow
        file system takes; a CPU has the same work to do either way.
        """
        self._directory, self._every = directory, every
        self._is_aside = is_aside
        self._writer: threading.Thread | None = None
        self._last: State | None = None
        self._best: State | None = None
        self._lock = threading.Lock()
        self._has_warned = False

    def keep(self, epoch: int, state: Callable[[], State], *, is_best: bool, is_end: bool) -> None:
        """Take in the state after an epoch, and write where it is time to."""
        if not self._every:
            return
        is_due = is_end or epoch % self._every == 0
        last = _on_the_host(state(), is_kept=self._is_aside or not is_due)
        if self._writer is not None:  # two states in memory are enough
            self._writer.join()
        with self._lock:
            self._last = last
            if is_best:
                self._best = last
        if is_due and self._is_aside:
            self._writer = threading.Thread(target=self.write)
            self._writer.start()
        elif is_due:
            self.write()

    def write(self) -> None:
        """Write what is not on the disk yet: before any end, also one that nobody wanted.

        From any thread; where another is writing, this is a wait until that is done. A disk that does not
        take it, full or over its quota, costs this checkpoint and not the training: the next is tried, and
        the best with it.
        """
        with self._lock:
            last, best = self._last, self._best
            self._last = self._best = None
            if last is None:
                return
            try:
                save(self._directory, last, best)
            except (OSError, RuntimeError) as error:  # torch's own of a full disk is the latter
                self._best = None if best is None else _on_the_host(best, is_kept=True)
                self._warn(error)

    def take_over(self, path: Path) -> None:
        """Begin with another directory's checkpoint and its best: who comes next may know this one only."""
        if not self._every or path.parent == self._directory:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            for source, name in ((path, LAST), (path.with_name(BEST), BEST)):
                if source.exists():
                    _link(source, self._directory / name)
        except OSError as error:
            clean(self._directory)
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            told = (str(error).splitlines() or [type(error).__name__])[0]
            warn(
                f"no checkpoint could be written to {self._directory} ({told}): is the disk or a quota full?"
            )


def clean(directory: Path) -> None:
    """Remove what a process that was killed while it wrote, or had no room, has left: only renamed files
    are whole."""
    for path in (*directory.glob("new.*"), *directory.glob("*.new")):
        path.unlink(missing_ok=True)


def _on_the_host(value: Any, *, is_kept: bool) -> Any:
    """The same in the host's memory, so that a file of it can be read where there is no such device.

    `is_kept`: copied, also from there, so that training does not change it.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=is_kept)
    if isinstance(value, dict):
        return {key: _on_the_host(inner, is_kept=is_kept) for key, inner in value.items()}
    if isinstance(value, list):
        return [_on_the_host(inner, is_kept=is_kept) for inner in value]
    return value


def save(directory: Path, last: State, best: State | None) -> None:
    """Write the newest state; the one before stays. `best`, where it changed, goes to its own file.

    What cannot be written whole does not stay: half a file may be all that a disk had left. Raises OSError
    and, as torch does, RuntimeError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        _save(directory, last, best)
    except BaseException:
        clean(directory)
        raise


def _save(directory: Path, last: State, best: State | None) -> None:
    # The best comes first: a kill between the two repeats the epochs since, and finds it again.
    temporary = _written(directory, last)
    if best is last:
        _link(temporary, directory / BEST)
    elif best is not None:
        os.replace(_written(directory, best), directory / BEST)
    if (directory / LAST).exists():
        os.replace(directory / LAST, directory / BEFORE)
    os.replace(temporary, directory / LAST)


def _written(directory: Path, state: State) -> Path:
    path = directory / f"new.{state['epoch']}.{os.getpid()}"
    torch.save(state, path)
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
    return path


def _link(source: Path, target: Path) -> None:
    """The same bytes under another name, by rename."""
    name = target.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        name.unlink()
    try:
        os.link(source, name)
    except OSError:  # some file systems of clusters have one name for a file only
        shutil.copyfile(source, name)
    os.replace(name, target)


def find(directories: Sequence[Path]) -> Kept | None:
    """The newest state that can be read in the first directory that has one."""
    for path in (directory / name for directory in directories for name in (LAST, BEFORE)):
        try:
            return Kept(path, _read(path))
        except FileNotFoundError:
            continue
        except Exception as error:  # what readers raise of a damaged file is any of a dozen
            print(f"warning: {path} cannot be read ({error}); trying the one before", flush=True)
    return None


def _read(path: Path) -> State:
    # torch writes sums of what is in the file and does not look at them: it would go on from weights
    # that a disk has changed.
    with zipfile.ZipFile(path) as packed:
        broken = packed.testzip()
    if broken is not None:
        raise zipfile.BadZipFile(f"{broken} is damaged")
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    return state
