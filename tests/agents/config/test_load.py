"""Loading: what is written where, and what comes of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agents.config import load
from agents.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
SMALL = """
experiment: {id: small}
search_space:
  lr: {type: float, low: 1e-5, high: 1e-1, scale: log}
training: {command: [train, "{hyperparameters}"]}
"""


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="config.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


def problems(path, overrides=()):
    with pytest.raises(ConfigurationError) as caught:
        load(path, overrides)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("010", 10),
        ("0x10", 16),
        ("0o17", 15),
        ("on", "on"),
        ("no", "no"),
        ("12:30:00", "12:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("true", True),
        ("~", None),
        ('"1e-5"', "1e-5"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
    ],
)
def test_scalars_are_what_yaml_1_2_says(write, text, value):
    choices = f"{{type: categorical, choices: [other, {text}]}}"
    path = write(SMALL.replace("search_space:", f"search_space:\n  x: {choices}"))
    choice = load(path).settings.search_space["x"].choices[1]
    assert choice == value
    assert type(choice) is type(value)


def test_references_are_filled_in_and_read_anew_where_there_are_no_quotes(write, monkeypatch):
    monkeypatch.setenv("TRIALS", "7")
    monkeypatch.setenv("EMPTY", "")
    path = write(
        SMALL
        + "loop:\n  max_trials: ${TRIALS}\n  jobs_per_iteration: ${NOT_THERE:-3}\n"
        + 'cluster:\n  environment:\n    A: "${TRIALS}"\n    B: x${EMPTY:-y}${TRIALS}z\n    C: $${TRIALS}\n'
    )
    settings = load(path).settings
    assert (settings.loop.max_trials, settings.loop.jobs_per_iteration) == (7, 3)
    assert settings.cluster.environment == {"A": "7", "B": "xy7z", "C": "${TRIALS}"}


def test_a_reference_cannot_bring_structure(write, monkeypatch):
    monkeypatch.setenv("EVIL", "{type: fixed, value: 1}")
    path = write(SMALL.replace("id: small", "id: small, description: '${EVIL}'"))
    assert load(path).settings.experiment.description == "{type: fixed, value: 1}"


def test_extends_merges_mappings_and_replaces_lists_and_other_kinds(write):
    write(
        SMALL + "loop: {max_iterations: 3, jobs_per_iteration: 4}\n"
        "cluster: {modules: [gcc, cuda], batch_system: {kind: local, slots: 3}}\n",
        "base/base.yaml",
    )
    path = write(
        "extends: base/base.yaml\n"
        "search_space: {lr: {type: categorical, choices: [1, 2]}, new: {type: fixed, value: 1}}\n"
        "loop: {max_iterations: 5}\n"
        "cluster: {modules: [julia], batch_system: {kind: slurm}}\n"
    )
    settings = load(path).settings
    assert settings.loop.model_dump() == {
        "max_iterations": 5,
        "jobs_per_iteration": 4,
        "max_trials": None,
        "schedule": "batch",
    }
    assert settings.cluster.modules == ["julia"]
    assert settings.cluster.batch_system.kind == "slurm"
    assert list(settings.search_space) == ["lr", "new"]
    assert settings.search_space["lr"].choices == [1, 2]


@pytest.mark.parametrize("name", ["kind", "type"])
def test_a_parameter_may_be_called_kind_or_type(write, name):
    base = SMALL.replace("  lr:", f"  {name}: {{type: categorical, choices: [a, b]}}\n  lr:")
    write(base, "base.yaml")
    path = write(
        f"extends: base.yaml\nsearch_space: {{{name}: {{choices: [c, d]}}}}\n", "derived.yaml"
    )
    space = load(path).settings.search_space
    assert (list(space), space[name].choices) == ([name, "lr"], ["c", "d"])
    space = load(path, [f"search_space.{name}.choices=[e]"]).settings.search_space
    assert (list(space), space[name].choices) == ([name, "lr"], ["e"])


def test_overrides_are_yaml_and_come_last(write):
    loaded = load(
        write(SMALL + "loop: {max_iterations: 3}\n"),
        ["loop.max_iterations=9", "search_space.lr.low=1e-3", "stop={target: 0.9}"],
    )
    assert loaded.settings.loop.max_iterations == 9
    assert loaded.settings.search_space["lr"].low == 1e-3
    assert loaded.settings.stop.target == 0.9
    assert loaded.sources["loop.max_iterations"] == "command line"


def test_sources_tell_file_and_line_of_every_written_key(write):
    base = write(SMALL, "base.yaml")
    path = write("extends: base.yaml\nloop:\n  max_iterations: 2\nconstraints:\n  - lr > 0\n")
    sources = load(path).sources
    assert sources["experiment.id"] == f"{base}:2"
    assert sources["search_space.lr.low"] == f"{base}:4"
    assert sources["loop.max_iterations"] == f"{path}:3"
    assert sources["constraints[0]"] == f"{path}:5"
    assert "loop.schedule" not in sources


def test_paths_are_relative_to_the_file_that_names_them(write, tmp_path, monkeypatch):
    work = tmp_path / "elsewhere"
    work.mkdir()
    monkeypatch.chdir(work)
    write("{{ name }}", "base/job.j2")
    write(
        "cluster: {template: job.j2}\ntraining: {directory: .}\n"
        + SMALL.split("training")[0]
        + 'ledger: {storage: "sqlite:///trials.db"}\n',
        "base/base.yaml",
    )
    path = write(
        "extends: base/base.yaml\ntraining: {command: [train, '{job_dir}']}\n"
        "directories: {local_base: out}\n"
    )
    settings = load(path).settings
    assert settings.cluster.template == tmp_path / "base" / "job.j2"
    assert settings.training.directory == tmp_path / "base"
    assert settings.ledger.storage == f"sqlite:///{tmp_path}/base/trials.db"
    assert settings.directories.local_base == work / "out"
    assert load(write(SMALL)).settings.directories.local_base == work / "results"


def test_a_training_directory_on_a_cluster_is_left_alone(write):
    path = write(
        SMALL.replace("{command:", "{directory: /home/ada/code, command:")
        + "cluster: {transport: {kind: ssh, host: login}, remote_base: ~/runs}\n"
    )
    settings = load(path).settings
    assert settings.training.directory == Path("/home/ada/code")
    assert settings.cluster.remote_base == "~/runs"


def test_a_section_whose_keys_are_all_commented_out_is_as_if_it_were_not_there(write):
    text = SMALL + "loop:\nproposer:\n  sampler:\ncluster:\n  poll:\n"
    assert load(write(text)).settings == load(write(SMALL, "small.yaml")).settings


def test_the_resolved_text_loads_to_the_same_settings_from_another_directory(
    write, tmp_path, monkeypatch
):
    monkeypatch.setenv("NAME", "a ${b} c")
    path = write(
        SMALL.replace(
            "lr:", "opt: {type: categorical, choices: [a, 1e5, '1e5', null, true, yes]}\n  lr:"
        )
        + "cluster: {environment: {A: '1e5', B: 'on', C: '$${X} $$${Y}', D: '${NAME}', E: 'x: y #'}}\n"
        "stop: {failures_in_a_row: null, wall_clock: 1h30m}\n"
    )
    first = load(path)
    resolved = write(first.resolved, "run/config.yaml")
    monkeypatch.chdir(tmp_path / "run")
    monkeypatch.delenv("NAME")
    again = load(resolved)
    assert again.settings == first.settings
    assert again.resolved == first.resolved
    assert first.settings.cluster.environment["C"] == "${X} $${Y}"


def test_resolved_text_reads_the_same_to_a_yaml_1_1_reader(write):
    text = SMALL.replace("lr:", "opt: {type: categorical, choices: [on, '1e5', 12:30, 0.5]}\n  lr:")
    read = yaml.safe_load(load(write(text)).resolved)
    assert read["search_space"]["opt"]["choices"] == ["on", "1e5", "12:30", 0.5]


def test_secrets_stay_references(write, monkeypatch):
    for name in ("DB_PASSWORD", "WANDB_API_KEY", "HF", "MY_TOKEN"):
        monkeypatch.setenv(name, f"hidden-{name}")
    path = write(
        SMALL
        + "ledger: {storage: 'postgresql://ada:${DB_PASSWORD}@db/x'}\n"
        + "llm: {base_url: 'http://ada:${HF}@host/v1', model: m}\n"
        + "cluster:\n  environment: {WANDB_API_KEY: '${WANDB_API_KEY}', HF_TOKEN: '${HF}'}\n"
        + "  setup: ['export X=${MY_TOKEN}']\n"
    )
    first = load(path)
    assert "hidden" not in first.resolved
    assert first.settings.ledger.storage == "postgresql://ada:hidden-DB_PASSWORD@db/x"
    assert first.settings.cluster.environment["HF_TOKEN"] == "hidden-HF"
    assert load(write(first.resolved, "again.yaml")).settings == first.settings


def test_what_only_looks_like_a_secret_is_taken(write, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hidden")
    text = """\
llm:
  base_url: http://u@host:8000/v1
  model: m
  max_tokens: 4000
  extra_body:
    stop_token: </s>
    prompt_cache_key: my-search
    tokenizer: sk-learn-of-a-long-name-and-more
    token: 7
    headers: {X-Api-Key: '${HF_TOKEN}', Authorization: 'Bearer ${HF_TOKEN}'}
cluster:
  environment: {TOKENIZERS_PARALLELISM: 'false', KEYBOARD: us, MAX_TOKENS: '5', HOME_URL: 'http://a:80/b@c'}
  setup: ['git clone https://me:$GIT_TOKEN@host/x', 'curl -H "Authorization: Bearer $${TOKEN}" u@h:a']
"""
    description = "Bearer authentication, see http://host:80/x, a@b:c."
    load(write(SMALL.replace("{id:", f"{{description: '{description}', id:") + text))


def test_a_password_in_a_url_stays_a_reference_whatever_its_variable_is_called(write, monkeypatch):
    monkeypatch.setenv("WORD", "hidden")
    monkeypatch.setenv("WHOLE", "postgresql://u:hidden@db/x")
    environment = "{A: '${WHOLE}', B: 'amqp://u:${WORD}@q', C: '${WORD}'}"
    header = "{headers: {Authorization: 'Bearer ${WORD}'}}"
    path = write(
        SMALL + f"cluster: {{environment: {environment}}}\n"
        f"llm: {{base_url: 'http://h/v1', model: m, extra_body: {header}}}\n"
    )
    shown = yaml.safe_load(load(path).resolved)
    assert shown["cluster"]["environment"] == {
        "A": "${WHOLE}", "B": "amqp://u:${WORD}@q", "C": "hidden",
    }  # fmt: skip
    assert shown["llm"]["extra_body"]["headers"] == {"Authorization": "Bearer ${WORD}"}


def test_no_message_shows_a_secret(write, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "hidden")
    found = problems(
        write(SMALL + "llm: {timeout: '${API_TOKEN}', base_url: '${API_TOKEN}', model: m}\n")
    )
    assert "hidden" not in "\n".join(found)
    assert any("'${API_TOKEN}'" in problem for problem in found)


def test_configuration_errors_need_no_heavy_library(write):
    path = write(SMALL + "loops: {}\n")
    code = (
        "import sys\nfrom pathlib import Path\nfrom agents.config import load, json_schema\n"
        "from agents.errors import ConfigurationError\njson_schema()\n"
        "for name in sys.argv[1:]:\n"
        "    try: load(Path(name))\n"
        "    except ConfigurationError: pass\n"
        "heavy = {'optuna', 'langgraph', 'torch', 'paramiko', 'scipy', 'jinja2', 'numpy', 'openai'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    files = [str(path), str(ROOT / "config.example.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", code, *files],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("cluster", "floor"),
    [
        ("{}", 2),
        ("{batch_system: {kind: slurm}}", 15),
        ("{batch_system: {kind: pbs}, poll: {ceiling: 5s}}", 5),
        ("{batch_system: {kind: slurm}, poll: {floor: 1s}}", 1),
    ],
)
def test_a_scheduler_is_asked_less_often_than_processes_here(tmp_path, cluster, floor):
    path = tmp_path / "config.yaml"
    path.write_text(SMALL + f"cluster: {cluster}\n")
    assert load(path).settings.cluster.poll.floor == floor
