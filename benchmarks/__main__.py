"""Runs the benchmarks that are named, or all, and prints one table."""

import sys

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


def main(names: list[str]) -> None:
    table = Table("benchmark", "figure", "value", "baseline", "aim")
    for name in names or list(BENCHMARKS):
        for row in BENCHMARKS[name]():
            table.add_row(name, *row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
