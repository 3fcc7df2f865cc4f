"""Imports point down only: agents -> scheduler -> training.contract; the contract imports nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "agents": ("agents", "scheduler", "training.contract", "training.adapt"),
    "scheduler": ("scheduler", "training.contract"),
    "training": ("training",),
}
OURS = ("agents", "scheduler", "training", "tests", "benchmarks", "examples")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_down_only(package):
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path)
        if name.split(".")[0] in OURS
        and not any(
            name == allowed or name.startswith(f"{allowed}.") for allowed in MAY_IMPORT[package]
        )
    ]
    assert wrong == []


def test_the_contract_imports_the_standard_library_only():
    names = {name.split(".")[0] for name in imported(ROOT / "training" / "contract.py")}
    assert names <= set(sys.stdlib_module_names)


def test_heavy_libraries_are_imported_where_they_are_used():
    """`--help` and configuration errors must not wait for them."""
    code = (
        "import sys, agents.run, agents.commands.search, agents.config, agents.space\n"
        "heavy = {'optuna', 'langgraph', 'langchain_openai', 'torch', 'paramiko', 'scipy', 'jinja2',"
        " 'numpy', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"
