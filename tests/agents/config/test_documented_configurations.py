"""Configurations in the documentation are complete but for the search itself, and valid."""

import re
from pathlib import Path

import pytest
import yaml

from agents.config import load

ROOT = Path(__file__).parents[3]
PAGES = ("first-slurm-cluster.md", "first-pbs-cluster.md")
SEARCH = {
    "experiment": {"id": "x"},
    "search_space": {"x": {"type": "float", "low": 0, "high": 1}},
    "training": {"command": ["train", "{hyperparameters}"]},
}


@pytest.mark.parametrize("page", PAGES)
def test_the_configuration_on_the_page_is_valid(page, tmp_path):
    text = (ROOT / "docs" / page).read_text()
    (block,) = re.findall(r"^```yaml\n(.*?)^```", text, re.S | re.M)
    written = yaml.safe_load(block)
    (tmp_path / "my_project").mkdir()
    whole = {**SEARCH, **written}
    if not whole.get("extends", "").startswith("site:"):
        whole.pop("extends", None)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(whole))
    settings = load(path, [f"training.stage=[{tmp_path}/my_project]"]).settings
    assert settings.cluster.transport.kind == "ssh"
    assert settings.cluster.batch_system.kind in page
