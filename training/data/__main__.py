"""``python -m training.data fetch cifar100 --directory data``: data sets onto a file system, once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from training.data import BadData
from training.data.originals import ORIGINALS, fetch


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch what the command line names. Returns the exit code: 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m training.data", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("fetch", help="download an archive, checked; once for many jobs")
    verb.add_argument("name", choices=sorted(ORIGINALS))
    verb.add_argument("--directory", type=Path, default=Path("data"))
    verb.add_argument("--url", help="another place that has the same archive")
    asked = parser.parse_args(arguments)
    try:
        fetched = fetch(asked.name, asked.directory, asked.url)
    except BadData as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    archive = asked.directory / ORIGINALS[asked.name].archive
    print(f"{archive}: {'fetched' if fetched else 'there already'}, as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
