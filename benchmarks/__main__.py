"""Runs the benchmarks that are named, or all, and prints one table."""

import argparse

from rich.console import Console
from rich.table import Table

from benchmarks import clusters, ledger, overhead, report, startup, training

BENCHMARKS = {
    "startup": startup.measure,
    "overhead": overhead.measure,
    "ledger": ledger.measure,
    "report": report.measure,
    "training": training.measure,
    "clusters": clusters.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    names = parser.parse_args().names
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name}; there are {', '.join(BENCHMARKS)}")
    table = Table("benchmark", "figure", "value", "baseline", "aim")
    for name in names or list(BENCHMARKS):
        for row in BENCHMARKS[name]():
            table.add_row(name, *row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
