"""Packages that the training program imports and its Python does not have: told before the first job."""

import ast
import inspect
import json
import subprocess
import sys

import pytest
from doctor_bench import ROOT, doctor, write_config

from agents.doctor import imports
from agents.doctor.imports import needed

TEXT = inspect.getsource(imports)
ABSENT = "not_a_package_of_anybody"


def write(directory, files):
    for name, text in files.items():
        path = directory / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import json\nimport torch.nn as nn", ["json", "torch"]),
        ("from torch.utils.data import DataLoader", ["torch"]),
        ("try:\n    import apex\nexcept ImportError:\n    apex = None", []),
        ("if True:\n    import apex", []),
        ("def later():\n    import wandb", []),
        ("import sys\nsys.path.insert(0, 'src')\nimport model", []),
        ("import model\nfrom data import load", ["numpy", "yaml"]),
        ("from package import part, other", ["scipy", "sklearn"]),
        ("import package.deep.leaf", ["scipy", "torch"]),
        ("import package.told", ["scipy"]),
        ("x = " + "+".join("1" * 100_000), []),
        ("this is no Python", []),
    ],
)
def test_what_a_program_needs_at_its_start(tmp_path, text, names):
    files = {
        "model": "import numpy\nimport start",
        "data": "import yaml",
        "package/__init__": "import scipy",
        "package/part": "from . import sibling",
        "package/sibling": "import sklearn",
        "package/told": "from . import __version__, told",
        "package/deep/leaf": "from ..deep import loop\nimport torch",
        "package/deep/loop": "from .leaf import name",
        "start": text,
    }
    write(tmp_path, files)
    assert needed(str(tmp_path / "start.py"), str(tmp_path)) == names


def test_a_compiled_module_beside_the_program_is_its_own(tmp_path):
    write(tmp_path, {"start": "import fast"})
    (tmp_path / "fast.cpython-311-x86_64-linux-gnu.so").touch()
    assert needed(str(tmp_path / "start.py"), str(tmp_path)) == []


def lacks(directory, kind, value, python=sys.executable):
    done = subprocess.run(
        [python, "-c", TEXT, kind, value], cwd=directory, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_the_other_python_is_asked_in_the_program_s_place(tmp_path):
    files = {
        "src/train": f"import json, helper, {ABSENT}",
        "src/helper": "import sys",
        "tool/__main__": f"import {ABSENT}",
        "elsewhere": "",
    }
    write(tmp_path, files)
    assert lacks(tmp_path, "file", "src/train.py") == [f"no-import {ABSENT}"]
    assert lacks(tmp_path, "module", "tool") == [f"no-import {ABSENT}"]
    assert lacks(tmp_path, "imports", f"json,{ABSENT},elsewhere") == [f"no-import {ABSENT}"]
    assert lacks(tmp_path, "module", "json") == []


def test_an_old_python_can_read_the_question():
    ast.parse(TEXT, feature_version=(3, 6))


def told(config):
    code, found = doctor(config)
    return code, found["training command"]


def test_a_missing_package_is_named_with_its_python(tmp_path):
    config = write_config(tmp_path)
    write(tmp_path, {"train": f"import helper\nimport {ABSENT}", "helper": "import sys"})
    code, check = told(config)
    assert (code, check["outcome"]) == (1, "failed")
    assert f"imports {ABSENT}, which {sys.executable}" in check["seen"]
    assert "cluster.python" in check["remedy"]


def test_a_package_whose_own_beginning_lacks_one_is_no_missing_module(tmp_path):
    command = '["{python}", -m, tool.train, "{job_dir}"]'
    config = write_config(
        tmp_path, training=f'training: {{directory: "{tmp_path}", command: {command}}}'
    )
    write(tmp_path, {"tool/__init__": f"import {ABSENT}", "tool/train": ""})
    code, check = told(config)
    assert (code, check["outcome"]) == (1, "failed")
    assert f"imports {ABSENT}, which" in check["seen"]


def test_a_python_of_a_wrapper_is_not_the_one_that_is_found_here(tmp_path):
    wrapper = tmp_path / "conda"
    wrapper.write_text("#!/bin/sh\n")
    wrapper.chmod(0o755)
    for start in ("train.py", "-m, tool"):
        command = f'["{wrapper}", run, -n, torch, python3, {start}, "{{job_dir}}"]'
        config = write_config(
            tmp_path, training=f'training: {{directory: "{tmp_path}", command: {command}}}'
        )
        write(tmp_path, {"train": f"import {ABSENT}"})
        code, check = told(config)
        assert (code, check["outcome"]) == (0, "ok"), check


@pytest.mark.parametrize("start", ['"{code}/code/train.py"', "-m, code.train"])
def test_a_missing_package_of_code_that_is_sent(tmp_path, start):
    command = f'["{{python}}", {start}, "{{job_dir}}"]'
    training = f"training: {{stage: [code, other], command: {command}}}"
    config = write_config(tmp_path, training=training)
    write(tmp_path, {"code/train": f"import {ABSENT}\nimport other.thing", "other/thing": ""})
    code, check = told(config)
    assert (code, check["outcome"]) == (1, "failed"), json.dumps(check)
    assert f"imports {ABSENT}, which" in check["seen"]


def test_what_is_there_is_well(tmp_path):
    config = write_config(
        tmp_path,
        training='training: {stage: [code], command: ["{python}", -m, code.train, "{job_dir}"]}',
    )
    write(
        tmp_path, {"code/train": "import json\nfrom code import other", "code/other": "import yaml"}
    )
    assert told(config)[1]["outcome"] == "ok"


def test_the_reference_program_needs_torch():
    found = needed(str(ROOT / "training" / "train.py"), str(ROOT))
    assert set(found) - set(sys.stdlib_module_names) == {"torch"}
