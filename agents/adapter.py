"""The adapter that goes to a job whose command holds `{adapt}`: `training.adapt` as one archive."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from importlib import resources

FILE = "adapt.pyz"
_MAIN = """import os
import sys

from training.adapt.main import main

sys.exit(main(sys.argv[1:], os.path.dirname(os.path.abspath(sys.argv[0]))))
"""


@cache
def archive() -> bytes:
    """What Python runs as a program of its own, wherever Pilothouse is not installed."""
    package = resources.files("training").joinpath("adapt")
    texts = {"__main__.py": _MAIN, "training/__init__.py": ""}
    for file in sorted(package.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".py"):
            texts[f"training/adapt/{file.name}"] = file.read_text(encoding="utf-8")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in texts.items():
            # A fixed date: the same bytes each time.
            packed.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return stream.getvalue()
