"""Taking files out of an archive that another machine made: nothing lands where it was not asked for.

Pythons before 3.11.4, such as Debian 12's, know no filters of tarfile: there links do not come at all.
"""

from __future__ import annotations

import copy
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path


class NotAskedFor(Exception):
    """The archive holds something that leads elsewhere."""


def safe_member(info: tarfile.TarInfo, destination: Path) -> tarfile.TarInfo | None:
    """What may be unpacked of a member; None for special files and links that lead outside.

    Raises NotAskedFor where its path does.
    """
    if not has_filters():
        return _without_filters(info, destination)
    try:
        return tarfile.data_filter(info, str(destination))
    except (
        tarfile.AbsoluteLinkError,
        tarfile.LinkOutsideDestinationError,
        tarfile.SpecialFileError,
    ):
        return None
    except tarfile.FilterError as error:
        raise NotAskedFor(str(error)) from error


def unpack(archive: tarfile.TarFile, members: Iterable[tarfile.TarInfo], destination: Path) -> None:
    """Write the members, which are safe, below `destination`."""
    if has_filters():
        archive.extractall(destination, members=members, filter="data")
    else:
        archive.extractall(destination, members=members)


def has_filters() -> bool:
    """Whether this Python's tarfile has filters."""
    return hasattr(tarfile, "data_filter")


def _without_filters(info: tarfile.TarInfo, destination: Path) -> tarfile.TarInfo | None:
    if not (info.isreg() or info.isdir()):
        return None
    if not (destination / info.name).resolve().is_relative_to(destination.resolve()):
        raise NotAskedFor(f"{info.name!r} would be extracted outside the destination")
    safe = copy.copy(info)
    safe.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
    safe.uid, safe.gid, safe.uname, safe.gname = os.getuid(), os.getgid(), "", ""
    return safe
