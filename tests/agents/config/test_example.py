"""config.example.yaml is the documentation: it loads, has every key, and every key in it works."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from agents.auth.identity import PRESETS, identity
from agents.config import json_schema, load
from agents.config.keys import all_paths
from agents.config.model import Settings
from agents.config.node import data_of
from agents.config.yaml_text import parse
from agents.errors import ConfigurationError
from scheduler.settings import BatchSettings, TransportSettings

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "config.example.yaml"
KEY = re.compile(r"^( *)(#?)([A-Za-z_]+):(?: +(.*))?$")


def keys_of(text):
    """(path, value's text, commented out?) of every key, read off the indentation."""
    stack = []
    for line in text.splitlines():
        match = KEY.match(line)
        if not match:
            continue
        indentation, commented, name, value = match.groups()
        while stack and stack[-1][0] >= len(indentation):
            stack.pop()
        stack.append((len(indentation), name))
        yield ".".join(part for _, part in stack), value, bool(commented)


KEYS = list(keys_of(EXAMPLE.read_text()))
COMMENTED = {path: value for path, value, commented in KEYS if commented}


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "pw")


def in_example(path):
    pattern = re.compile(re.escape(path).replace(r"\*", "[a-z_]+"))
    return any(pattern.fullmatch(written) for written, _, _ in KEYS)


def test_it_loads():
    settings = load(EXAMPLE).settings
    assert settings.loop.max_iterations * settings.loop.jobs_per_iteration == 10
    assert settings.cluster.batch_system.kind == settings.cluster.transport.kind == "local"
    assert settings.initial_trials
    assert settings.constraints


@pytest.mark.parametrize("path", all_paths())
def test_every_key_is_in_it(path):
    assert in_example(path)


def test_it_has_no_key_that_is_not():
    known = [re.compile(re.escape(path).replace(r"\*", "[^.]+")) for path in all_paths()]
    free = re.compile(
        r"search_space\.\w+(\.when\.\w+)?|training\.budget\.\w+|cluster\.environment\.\w+"
    )
    for path, _, _ in KEYS:
        assert free.fullmatch(path) or any(pattern.fullmatch(path) for pattern in known), path


BY_THEMSELVES = [
    path
    for path in COMMENTED
    if not path.startswith(
        (
            "cluster.transport.",
            "cluster.batch_system.",
            "cluster.container",
            "cluster.pack",
            "cluster.poll.bell",
            "llm.",
            "notify",
            "objective.second",
            "search_space.",
        )
    )
]


@pytest.mark.parametrize("path", [p for p in BY_THEMSELVES if p != "cluster.template"])
def test_a_key_that_is_commented_out_works(path):
    loaded = load(EXAMPLE, [f"{path}={COMMENTED[path]}"])
    assert loaded.sources[path] == "command line"


def test_the_template_that_is_commented_out_is_missed():
    with pytest.raises(
        ConfigurationError, match=r"cluster\.template: there is no file .*job\.sh\.j2"
    ):
        load(EXAMPLE, [f"cluster.template={COMMENTED['cluster.template']}"])


def test_the_notification_that_is_commented_out_works():
    given = [f"{key}={COMMENTED[key]}" for key in ("notify.command", "notify.after")]
    assert load(EXAMPLE, given).settings.notify is not None


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("cluster.transport", "ssh"),
        ("cluster.transport", "paramiko"),
        ("cluster.batch_system", "slurm"),
        ("cluster.batch_system", "pbs"),
        ("cluster.batch_system", "local"),
    ],
)
def test_the_keys_of_other_kinds_work_together(section, kind):
    union = TransportSettings if section.endswith("transport") else BatchSettings
    known = fields_of(union, kind) - {"slots"}
    given = {
        path: value
        for path, value in COMMENTED.items()
        if path.rpartition(".")[0] == section and path.rpartition(".")[2] in known
    }
    assert len(given) == len(known) - 1
    remote = ["cluster.remote_base=~/x", "training.directory=/"]
    loaded = load(
        EXAMPLE,
        [f"{section}={{kind: {kind}}}", *(f"{k}={v}" for k, v in given.items()), *remote],
    )
    assert loaded.settings.model_dump()["cluster"][section.rpartition(".")[2]]["kind"] == kind


def fields_of(union, kind):
    definitions = TypeAdapter(union).json_schema()["$defs"].values()
    [found] = [d for d in definitions if d["properties"]["kind"]["const"] == kind]
    return set(found["properties"])


def test_a_second_objective_can_be_had():
    given = [f"{k}={v}" for k, v in COMMENTED.items() if k.startswith("objective.second.")]
    assert load(EXAMPLE, given).settings.objective.metrics == ("accuracy_auc", "seconds")


def test_a_container_can_be_had():
    given = [f"{k}={v}" for k, v in COMMENTED.items() if k.startswith("cluster.container.")]
    container = load(EXAMPLE, given).settings.cluster.container
    assert (container.gpu, container.binds) == ("nvidia", ["/data:/data:ro"])


def test_trials_can_share_jobs():
    given = [f"{k}={v}" for k, v in COMMENTED.items() if k.startswith("cluster.pack.")]
    pack = load(EXAMPLE, given).settings.cluster.pack
    assert (pack.trials, pack.pin, pack.launch[0]) == (4, "CUDA_VISIBLE_DEVICES", "srun")


def test_an_override_of_resources_can_be_had():
    lines = EXAMPLE.read_text().splitlines()
    at = lines.index("  overrides: []")
    shown = "\n".join(line.replace("    #", "    ", 1) for line in lines[at + 1 : at + 3])
    overrides = yaml.safe_load(shown)
    assert load(EXAMPLE, [f"cluster.overrides={overrides}"]).settings.cluster.overrides


def test_an_llm_can_be_had():
    elsewhere = ("llm.prompt", "llm.replay")  # files that do not come with the example
    given = [
        f"{k}={v}"
        for k, v in COMMENTED.items()
        if k.startswith("llm.") and k not in elsewhere and not k.startswith("llm.globus")
    ]
    llm = load(EXAMPLE, given).settings.llm
    assert (llm.model, llm.api_key_env) == ("Qwen/Qwen3-8B", "OPENAI_API_KEY")


def test_a_login_can_take_the_place_of_a_key():
    given = [f"{k}={v}" for k, v in COMMENTED.items() if k.startswith("llm.globus.")]
    globus = load(EXAMPLE, given).settings.llm.globus
    assert identity(globus).scope == PRESETS["alcf"].scope
    assert identity(globus).domains == PRESETS["alcf"].domains


def test_what_it_shows_for_a_step_of_a_float_works():
    step = COMMENTED["search_space.learning_rate.step"]
    changed = [f"search_space.learning_rate.step={step}", "search_space.learning_rate.scale=linear"]
    assert load(EXAMPLE, changed).settings.search_space["learning_rate"].step == float(step)


def test_other_yaml_readers_can_read_it():
    """Not as the same values (1e-6 is text to YAML 1.1), but as the same keys."""
    ours = data_of(parse(EXAMPLE.read_text(), EXAMPLE))
    assert yaml.safe_load(EXAMPLE.read_text()).keys() == ours.keys()


@pytest.mark.parametrize("name", ["digits", "unchanged"])
def test_the_other_examples_load(name):
    path = ROOT / "examples" / name / "config.yaml"
    assert load(path).settings.experiment.id == name


def test_the_least_that_the_page_shows_loads(tmp_path):
    page = (ROOT / "docs" / "configuration.md").read_text()
    least = page.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "config.yaml").write_text(least)
    assert load(tmp_path / "config.yaml").settings.training.directory == tmp_path


def test_the_schema_describes_every_key_of_its_own():
    schema = json_schema()
    bare = [
        f"{name}.{key}"
        for name, definition in schema["$defs"].items()
        for key, about in definition.get("properties", {}).items()
        if not described(about, schema) and "const" not in about
    ]
    assert bare == []
    assert set(schema["properties"]) == {"extends", *Settings.model_fields}
    assert [
        key for key, about in schema["properties"].items() if not described(about, schema)
    ] == []


def described(about, schema):
    if "description" in about:
        return True
    inner = [about, *about.get("anyOf", [])]
    return any(
        "description" in schema["$defs"][one["$ref"].rpartition("/")[2]]
        for one in inner
        if "$ref" in one
    )


def test_jobs_can_ring():
    given = [f"{k}={v}" for k, v in COMMENTED.items() if k.startswith("cluster.poll.bell.")]
    bell = load(EXAMPLE, given).settings.cluster.poll.bell
    assert (bell.address, bell.url) == (("0.0.0.0", 8799), "http://login3:8799")
