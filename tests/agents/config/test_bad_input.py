"""Each kind of bad input gives its own clear message, and nothing but ConfigurationError."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.config import load
from agents.config.keys import all_paths
from agents.errors import ConfigurationError

SMALL = """\
experiment: {id: small}
search_space:
  lr: {type: float, low: 0.1, high: 1}
training: {command: [train, "{hyperparameters}"]}
"""


def problems(path, overrides=()):
    with pytest.raises(ConfigurationError) as caught:
        load(path, overrides)
    return caught.value.problems


# Text added to SMALL, then what is said of it. FILE stands for the file's path.
ADDED = [
    ('directories: {local_base: "/new\\nline"}', "FILE:5: directories.local_base is '/new\\nline': a line break in a "
     "path is more than job scripts can name"),
    ('cluster: {remote_base: "/new\\nline"}', "FILE:5: cluster.remote_base is '/new\\nline': a line break in a path "
     "is more than job scripts can name"),
    (f"directories: {{local_base: {'/deep' * 100}}}", "FILE:5: directories.local_base is longer than the ledger's "
     "database can name, by 40 bytes (links in it are followed): choose a shorter one"),
    ("loop: {max_iteration: 3}", "FILE:5: loop.max_iteration: there is no such key; did you mean max_iterations?"),
    ("objective: {metric: ''}", "FILE:5: objective.metric must be filled, and it is ''"),
    ("objective: {second: {metric: accuracy_auc}}", "FILE:5: objective.second.metric is accuracy_auc, "
     "like objective.metric: name another, or remove it"),
    ("objective: {second: {metric: flops}}\nreport: {second_metric: size}", "FILE:6: report.second_metric "
     "means nothing beside objective.second, which the report shows: remove it"),
    ("cluster: {batch_system: {kind: local, launch: [x, '{node}']}}", "FILE:5: cluster.batch_system.per_node is "
     "missing: launch names {node}, so say how many slots a node has"),
    ("cluster: {batch_system: {kind: local, pin: GPU}, pack: {trials: 2, pin: GPU}}", "FILE:5: "
     "cluster.pack.pin and cluster.batch_system.pin are both GPU: a slot has one device, and all trials of its "
     "pack would get it; leave out cluster.pack.pin to share it, or cluster.pack, which saves no queue here"),
    ("pruner: {startup_trials: 9}", "FILE:5: pruner.startup_trials means nothing while pruner.kind is "
     "none: add `kind: median` or `kind: halving`, or remove it"),
    ("pruner: {reduction_factor: 3}", "FILE:5: pruner.reduction_factor means nothing while pruner.kind is "
     "none: add `kind: halving`, or remove it"),
    ("pruner: {kind: median, reduction_factor: 3}", "FILE:5: pruner.reduction_factor means nothing while "
     "pruner.kind is median: add `kind: halving`, or remove it"),
    ("pruner: {kind: halving, reduction_factor: 1}", "FILE:5: pruner.reduction_factor must be at least 2, "
     "and it is 1"),
    ("pruner: {kind: asha}", "FILE:5: pruner.kind must be one of none, median, halving, and it is 'asha'; "
     "write halving"),
    ("pruner: {kind: halving, eta: 3}", "FILE:5: pruner.eta: there is no such key; write reduction_factor"),
    ("pruner: {kind: halving, grace_period: 3}", "FILE:5: pruner.grace_period: there is no such key; write "
     "warmup_steps"),
    ("objective: {second: {metric: seconds}}\npruner: {kind: halving}", "FILE:6: pruner.kind is halving, "
     "which judges by objective.metric alone, and with objective.second a weak trial may be the best in "
     "seconds: use none"),
    ("objective: {second: {metric: seconds}}\npruner: {kind: median}", "FILE:6: pruner.kind is median, "
     "which judges by objective.metric alone, and with objective.second a weak trial may be the best in "
     "seconds: use none"),
    ("objective: {second: {metric: seconds}}\nproposer: {sampler: {kind: cmaes}}",
     "FILE:6: proposer.sampler.kind is cmaes, which knows one objective: use auto, tpe, gp, qmc, random "
     "or grid with objective.second"),
    ("warm_start: [run]\nproposer: {kind: sampler, sampler: {kind: cmaes}}", "FILE:5: warm_start means "
     "nothing to the sampler cmaes, which learns nothing from other searches: remove it, or use auto, tpe "
     "or gp"),
    ("cluster: {resources: {partition: gpu}}",
     "FILE:5: cluster.resources.partition: there is no such key; write queue"),
    ("cluster: {resources: {qos: high}}",
     "FILE:5: cluster.resources.qos: there is no such key; write it as a line of directives"),
    ("max_trials: 3", "FILE:5: max_trials: there is no such key; did you mean loop.max_trials?"),
    ("stop:\n  xyz: 3", "FILE:6: stop.xyz: there is no such key; there are target, patience, "
     "minimum_improvement, wall_clock, node_hours, failures_in_a_row"),
    ("cluster: {transport: {kind: ssh, hots: a}}", "FILE:5: cluster.transport.host is missing\nFILE:5: cluster.transport.hots: there is no such key; did you mean host?"),
    ("cluster: {transport: {kind: local, host: a}}",
     "FILE:5: cluster.transport.host: there is no such key; it goes with kind: ssh or kind: paramiko; here there are kind"),
    ("cluster: {transport: {kind: shh}}", "FILE:5: cluster.transport.kind must be one of local, ssh, "
     "paramiko, and it is 'shh'; did you mean ssh?"),
    ("cluster: {transport: {host: a}}", "FILE:5: cluster.transport.kind is missing: it says what this is"),
    ("cluster: {overrides: [{when: {lr: 1.0}, cpu: 1}]}",
     "FILE:5: cluster.overrides[0].cpu: there is no such key; did you mean cpus?"),
    ("cluster: {overrides: [{when: {rl: 1.0}}]}", "FILE:5: cluster.overrides[0].when.rl: there is no "
     "parameter rl; there are lr"),
    ("cluster: {overrides: [{when: {lr: [0.5, 5]}}]}", "FILE:5: cluster.overrides[0].when.lr: lr never "
     "has this value: 5 is not between 0.1 and 1"),
    ("cluster: {transport: {kind: ssh, host: a}, batch_system: {kind: pbs}, remote_base: '/a:b'}",
     "FILE:5: cluster.remote_base is '/a:b', and qsub -o takes a colon or a comma for the end of a path: "
     "choose one without"),
    ("cluster: {transport: {kind: ssh, host: a}, batch_system: {kind: pbs}, remote_base: /über}",
     "FILE:5: cluster.remote_base is '/über', and qsub -o takes ASCII characters alone: choose a path of "
     "such"),
    ("cluster: {transport: {kind: ssh, host: a}, container: {image: x.sif}, remote_base: '/a,b'}",
     "FILE:5: cluster.remote_base is '/a,b', and apptainer --bind takes a colon or a comma for the end of "
     "a path: choose one without"),
    ("loop: {max_iterations: ten}", "FILE:5: loop.max_iterations must be a whole number, and it is 'ten'"),
    ("loop: {max_iterations: '10'}", "FILE:5: loop.max_iterations must be a whole number, and it is "
     "'10': take the quotes away"),
    ("loop: {max_iterations: 2.5}", "FILE:5: loop.max_iterations must be a whole number, and it is 2.5"),
    ("loop: {max_iterations: true}", "FILE:5: loop.max_iterations must be a whole number, and it is true"),
    ("loop: {max_iterations: 0}", "FILE:5: loop.max_iterations must be at least 1, and it is 0"),
    ("loop: {schedule: stedy}", "FILE:5: loop.schedule must be one of batch, steady, and it is "
     "'stedy'; did you mean steady?"),
    ("loop: 3", "FILE:5: loop must be a mapping (key: value), and it is 3"),
    ("constraints: lr > 0", "FILE:5: constraints must be a list, and it is 'lr > 0': write [lr > 0]"),
    ("stop: {target: .nan}", "FILE:5: '.nan' must be a finite number"),
    ("stop: {target: 1e999}", "FILE:5: '1e999' must be a finite number"),
    ("stop: {patience: 99999999999999999999}", "FILE:5: '99999999999999999999' is too large a number"),
    ("stop: {wall_clock: 12 parsecs}", "FILE:5: stop.wall_clock must be a duration such as 90s, 15m, "
     "2h, 1d or 01:30:00 (hours first), and it is '12 parsecs'"),
    # Schedulers read it as minutes and seconds, people as hours and minutes.
    ("cluster: {resources: {walltime: 30:00}}", "FILE:5: cluster.resources.walltime must be a duration "
     "that cannot be misread (30m, 30h or 30:00:00), and it is '30:00'"),
    ("cluster: {resources: {walltime: 1:05}}", "FILE:5: cluster.resources.walltime must be a duration "
     "that cannot be misread (1m5s, 1h5m or 1:05:00), and it is '1:05'"),
    ("stop: {wall_clock: 0s}", "FILE:5: stop.wall_clock must be more than 0, and it is '0s'"),
    ("cluster: {resources: {memory: lots}}", "FILE:5: cluster.resources.memory must be an amount of "
     "memory such as 512M, 4G or 1T, and it is 'lots'"),
    (f"stop: {{wall_clock: {'9' * 400}d}}", "FILE:5: stop.wall_clock must be a duration such as 90s, 15m, "
     f"2h, 1d or 01:30:00 (hours first), and it is '{'9' * 77}...'"),
    (f"cluster: {{resources: {{memory: {'9' * 400}T}}}}", "FILE:5: cluster.resources.memory must be an "
     f"amount of memory such as 512M, 4G or 1T, and it is '{'9' * 77}...'"),
    ("cluster: {environment: {A: 1}}", "FILE:5: cluster.environment.A must be text, and it is 1: put it in quotes"),
    ("objective: {metric: a, 1}", "FILE:5: the key 1 is not text: a number takes a point (0.1), and an "
     "entry a value"),
    ("cluster: {environment: {1: a}}", "FILE:5: the key 1 is not text: put it in quotes"),
    ("loop: {max_trials: 3, max_trials: 4}", "FILE:5: the key max_trials is there twice (first in line 5)"),
    ("loop: {max_trials: !!python/name:os.system x}",
     "FILE:5: the tag tag:yaml.org,2002:python/name:os.system cannot be used here"),
    ("ledger: {storage: '${NOT_THERE}'}", "FILE:5: ledger.storage: the environment variable NOT_THERE "
     "is not set: set it, or write ${NOT_THERE:-default}"),
    ("ledger: {storage: '${NOT THERE}'}", "FILE:5: ledger.storage: the reference in '${NOT THERE}' "
     "cannot be read: write ${NAME} or ${NAME:-default}, and $${ for a plain ${"),
    ("loop: {max_trials: '${N:-few}'}", "FILE:5: loop.max_trials must be a whole number, and it is "
     "'few' (from ${N:-few})"),
    ("cluster: {environment: {'${A}': a}}", "FILE:5: the key ${A}: references are filled in in values only"),
    ("cluster: {environment: {MY_TOKEN: abc}}", "FILE:5: cluster.environment.MY_TOKEN: this looks like a "
     "secret: write ${MY_TOKEN} and set that variable, so that the value stays out of files (or "
     "${MY_TOKEN:-value} where it is none)"),
    ("llm: {extra_body: {api_key: sk-LITERAL}}", "FILE:5: llm.extra_body.api_key: this looks like a "
     "secret: write ${API_KEY} and set that variable, so that the value stays out of files (or "
     "${API_KEY:-value} where it is none)"),
    ("llm:\n  extra_body:\n    extra_headers: {Authorization: Bearer abc}", "FILE:7: "
     "llm.extra_body.extra_headers.Authorization: this looks like a secret: write ${LLM_TOKEN} and set that "
     "variable, so that the value stays out of files (or ${LLM_TOKEN:-value} where it is none)"),
    ("cluster: {environment: {DATABASE_URL: 'postgresql://u:hunter2@db/x'}}", "FILE:5: "
     "cluster.environment.DATABASE_URL: the password stands in the file: put it into a variable, say "
     "${DB_PASSWORD}"),
    (f"cluster: {{setup: ['login hf_{'aB3' * 12}']}}", "FILE:5: cluster.setup[0]: this looks like a secret: "
     "put it into a variable, say ${MY_TOKEN}, so that it stays out of files"),
    ("ledger: {storage: 'mysql://ada:pw@db/x'}", "FILE:5: ledger.storage: the password stands in the "
     "file: put it into a variable, say ${DB_PASSWORD}"),
    ("initial_trials: [{lr: 5}]", "FILE:5: initial_trials[0]: lr: 5 is not between 0.1 and 1"),
    ("initial_trials: [{rl: 0.5}]", "FILE:5: initial_trials[0]: rl: there is no such parameter (there are lr)"),
    ("constraints:\n  - lr > 0\n  - lr > x", "FILE:7: constraints[1]: `lr > x`: there is no parameter x (there are lr)"),
    ("initial_trials: [{}, {lr: 0.5}]\nloop: {max_trials: 1}", "FILE:6: loop.max_trials is 1, and there "
     "are 2 initial_trials: raise it, or remove some of them"),
    ("stop: {target: 95}", "FILE:5: stop.target is 95, and accuracy_auc lies between 0 and 1: 95% is 0.95"),
    ("proposer: {sampler: {kind: grid}}", "FILE:5: proposer.sampler.kind is grid, and the search space "
     "has floats without a step: give each float a step, or choose another sampler"),
    ("proposer: {sampler: {kind: random, startup_trials: 5}}", "FILE:5: proposer.sampler.startup_trials "
     "means nothing to the sampler random: remove it (it is for auto, tpe, gp, cmaes)"),
    ("llm: {model: m}", "FILE:5: llm.base_url is missing: say where llm.model is served, or remove both"),
    ("llm: {extra_body: {stream: true}}", "FILE:5: llm.extra_body.stream is set by Pilothouse itself: whole answers are taken"),
    ("llm: {base_url: 'http://h/v1'}", "FILE:5: llm.model is missing: name the model that llm.base_url shall use"),
    ("llm: {base_url: 'h:80', model: m}", "FILE:5: llm.base_url must begin with http:// or https://, "
     "such as http://localhost:8000/v1"),
    ("llm: {api_key_env: sk-123}", "FILE:5: llm.api_key_env must be the name of an environment variable, "
     "such as OPENAI_API_KEY; the key itself does not belong in a file"),
    ("extends: ~nobody-of-that-name/x", "FILE:5: extends: ~nobody-of-that-name/x: the home directory ~nobody-of-that-name is not "
     "known on this machine; write the whole path (./~nobody-of-that-name/x is one that is called so)"),
    ("directories: {local_base: ~nobody-of-that-name/x}", "FILE:5: directories.local_base: "
     "~nobody-of-that-name/x: the home directory ~nobody-of-that-name is not "
     "known on this machine; write the whole path (./~nobody-of-that-name/x is one that is called so)"),
    ("cluster: {template: no.j2}", "FILE:5: cluster.template: there is no file DIR/no.j2"),
    ("cluster: {transport: {kind: ssh, host: h}}", "FILE:5: cluster.remote_base is missing: with the "
     "transport ssh, name a directory on the cluster for the runs"),
    ("cluster: {remote_base: runs}", "FILE:5: cluster.remote_base must begin with / or ~/, and it is 'runs'"),
    ("cluster: {poll: {floor: 2m}}", "FILE:5: cluster.poll.floor (120s) is more than cluster.poll.ceiling (60s)"),
    ("directories: {job_pattern: 'job'}", "FILE:5: directories.job_pattern must contain {trial}, or two "
     "jobs would share a directory, and it is 'job'"),
    ("directories: {job_pattern: '../{trial}'}", "FILE:5: directories.job_pattern must stay below its base: "
     "neither absolute, nor with .. or empty parts, and it is '../{trial}'"),
    ("directories: {job_pattern: '/{trial}'}", "FILE:5: directories.job_pattern must stay below its base: "
     "neither absolute, nor with .. or empty parts, and it is '/{trial}'"),
    ("directories: {job_pattern: 'a b{trial}'}", "FILE:5: directories.job_pattern must be made of letters, "
     "digits and . _ / + -, and it is 'a b{trial}'"),
    ("directories: {job_pattern: '{trail}'}", "FILE:5: directories.job_pattern has the field {trail}; it can "
     "have {experiment}, {iteration}, {trial}, and it is '{trail}'"),
    ("directories: {job_pattern: '{iteration}{trial}'}", "FILE:5: directories.job_pattern must have "
     "something like _ between {iteration} and {trial}, and it is '{iteration}{trial}'"),
    ("directories: {job_pattern: '{trial'}", "FILE:5: directories.job_pattern has a { without its }, or a "
     "} without its {, and it is '{trial'"),
    ("directories: {run_pattern: 'a/{timestamp}'}", "FILE:5: directories.run_pattern must be the name of "
     "one directory, without /, and it is 'a/{timestamp}'"),
    ("extends: other.yaml", "FILE:5: extends: DIR/other.yaml: there is no such file; config.example.yaml "
     "is one to begin with"),
    ("extends: config.yaml", "FILE:5: extends goes round in a circle: FILE -> FILE"),
    ("extends: [a.yaml]", "FILE:5: extends must be the path of one other configuration file"),
]  # fmt: skip

# Whole files.
WHOLE = [
    (b"", "FILE: the configuration is empty; config.example.yaml shows every key"),
    (b"# nothing\n", "FILE: the configuration is empty; config.example.yaml shows every key"),
    (b"- a\n", "FILE: the configuration must hold a mapping (key: value); config.example.yaml shows every key"),
    (b"a: b: c\n", "FILE:1: this is not valid YAML: mapping values are not allowed here (column 5); text with a "
     "colon in it needs quotes, and lines that belong together begin in the same column"),
    (b"a: {b: c: d}\n", "FILE:1: this is not valid YAML: expected ',' or '}', but got ':' (column 9); text with "
     "a colon in it needs quotes, and lines that belong together begin in the same column"),
    (b"a:\n  b: 1\n c: 2\n", "FILE:3: this is not valid YAML: expected <block end>, but found '<block mapping "
     "start>' (column 2); lines that belong together begin in the same column, and those of a list (- ) stand "
     "apart from those with keys"),
    ("a:\n\u00a0\u00a0b: 1\n  c: 2\n".encode(), "FILE:3: this is not valid YAML: mapping values are not "
     "allowed here (column 4); line 2 has a no-break space, as text from a web page does: type it anew"),
    ("a: [\u201c{x}\u201d]\n".encode(), "FILE:1: this is not valid YAML: expected ',' or ']', but got '{' (column "
     "6); line 1 has curly quotes, as text from a web page does: type it anew"),
    (b"a: {b: ${HOME}/x}\n", "FILE:1: this is not valid YAML: expected ',' or '}', but got '{' (column 9)"
     "; between braces or brackets, put quotes around what holds ${NAME}"),
    (b"a:\n\t- b\n", "FILE:2: this is not valid YAML: found character '\\t' that cannot start any token "
     "(column 1); indent with spaces, never with tabs"),
    (b"a: 1\n\xff\xfe: 2\n", "FILE:2: this is not UTF-8 text (byte 0xff): is it a configuration file? save it as UTF-8"),
    (b"a: &a [*a]\n", "FILE:1: this is too large or nested too deeply"),
    (b"{" * 3000, "FILE: this is nested too deeply"),
    (b"x" * (1024 * 1024 + 1), "FILE: a configuration has at most 1048576 bytes"),
]  # fmt: skip


def expected(message, path):
    return message.replace("FILE", str(path)).replace("DIR", str(path.parent))


@pytest.mark.parametrize(("added", "message"), ADDED, ids=[added[:60] for added, _ in ADDED])
def test_one_thing_wrong_gives_one_message(tmp_path, monkeypatch, added, message):
    monkeypatch.delenv("N", raising=False)
    path = tmp_path / "config.yaml"
    path.write_text(SMALL + added + "\n")
    assert "\n".join(problems(path)) == expected(message, path)


@pytest.mark.parametrize("name", ["type", "kind", "float", "low"])
def test_a_parameter_may_be_called_like_a_key(tmp_path, name):
    path = tmp_path / "config.yaml"
    path.write_text(SMALL.replace("lr:", f"{name}:").replace("low: 0.1", "low: x"))
    assert problems(path) == [f"{path}:3: search_space.{name}.low must be a number, and it is 'x'"]


def test_a_relative_training_directory_means_nothing_on_another_machine(tmp_path):
    path = tmp_path / "config.yaml"
    remote = "cluster: {transport: {kind: ssh, host: h}, remote_base: ~/runs}"
    path.write_text(SMALL.replace("{command", "{directory: code, command") + remote)
    assert problems(path) == [
        f"{path}:4: training.directory is 'code', and jobs run on another machine: give the "
        "absolute path there"
    ]


@pytest.mark.parametrize(("content", "message"), WHOLE, ids=range(len(WHOLE)))
def test_a_file_that_is_no_configuration(tmp_path, content, message):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert problems(path) == [expected(message, path)]


def test_a_missing_file_a_directory_and_one_that_cannot_be_opened(tmp_path):
    missing, loop = tmp_path / "no.yaml", tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    assert problems(missing) == [
        f"{missing}: there is no such file; config.example.yaml is one to begin with"
    ]
    assert problems(tmp_path) == [f"{tmp_path}: this is a directory; give the file in it"]
    assert problems(loop) == [f"{loop}: this cannot be read: Too many levels of symbolic links"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loop", "--set loop: write KEY=VALUE, with the key's whole path, such as loop.max_trials=20"),
        ("loop..x=1", "--set loop..x=1: write KEY=VALUE, with the key's whole path, such as loop.max_trials=20"),
        ("loop.max_trials=[", "--set loop.max_trials=[: this is not valid YAML: expected the node content, "
         "but found '<stream end>' (column 2)"),
        ("loop.max_trials=x", "command line: loop.max_trials must be a whole number, and it is 'x'"),
        ("training.command=train {job_dir}", "command line: training.command must be a list, and it is "
         "'train {job_dir}': write [\"train\", \"{job_dir}\"]"),
        ("training.command=[{python}, train.py]", "command line: training.command[0] must be text, and it is a "
         "mapping: put it in quotes, \"{python}\""),
        ("lop.max_trials=1", "command line: lop: there is no such key; did you mean loop?"),
    ],
)  # fmt: skip
def test_bad_overrides(tmp_path, override, message):
    path = tmp_path / "config.yaml"
    path.write_text(SMALL)
    assert message in problems(path, [override])


def test_all_problems_come_at_once_in_the_order_of_the_lines(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("search_space: {}\nloop: {max_trials: -1}\nexperiment: {seed: x}\n")
    assert [problem.removeprefix(str(path)) for problem in problems(path)] == [
        ": training is missing",
        ":1: search_space must be filled, and it is an empty mapping",
        ":2: loop.max_trials must be at least 1, and it is -1",
        ":3: experiment.id is missing",
        ":3: experiment.seed must be a whole number, and it is 'x'",
    ]


def test_no_message_speaks_of_pydantic(tmp_path):
    path = tmp_path / "config.yaml"
    for key in all_paths():
        name = key.replace("*", "lr")
        for value in ("[[]]", "{a: {}}", "x y z", "-1", "null"):
            path.write_text(SMALL)
            try:
                load(path, [f"{name}={value}"])
            except ConfigurationError as error:
                for word in ("pydantic", "Input", "valid ", "input", "dict", "string", "instance"):
                    assert word not in str(error)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["{trial}", "${HOME}", "$${", "1h", "-1d", "9" * 400 + "d", "9" * 400 + "T", "ssh", "pbs", "float", "grid", "~", "/", "${"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "kind", "low", "high", "when", "lr", "a"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def loads_or_says_why(path, overrides=()):
    try:
        load(path, overrides)
    except ConfigurationError as error:
        assert all(error.problems)


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@example(content=b'a: "\\U99999999"')
@example(content=b"a: !<tag:yaml.org,2002:int> x")
@example(content=b"? [a]\n: b")
@example(content=b"<<: {a: 1}")
@example(content=b"a: !!int {}")
@example(content=b"a: !!binary aGk=")
def test_garbage_gives_a_configuration_error_and_nothing_else(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("garbage") / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError):
        load(path)


@given(key=st.sampled_from(all_paths()), value=VALUES)
def test_any_value_anywhere_loads_or_is_refused_in_words(tmp_path_factory, key, value):
    import json

    path = tmp_path_factory.mktemp("values") / "config.yaml"
    path.write_text(SMALL)
    text = json.dumps(value).replace("NaN", ".nan").replace("Infinity", ".inf")
    loads_or_says_why(path, [f"{key.replace('*', 'lr')}={text}"])


# A parameter as other tools write it, then what is said of it.
FROM_HABIT = [
    ("{type: float, low: 0.1, high: 1, log: true}", "search_space.lr.log: there is no such key; write scale: log"),
    ("{type: loguniform, low: 0.1, high: 1}", "search_space.lr.type must be one of float, int, categorical, "
     "fixed, and it is 'loguniform'; write float, with scale: log"),
    ("{type: bool}", "search_space.lr.type must be one of float, int, categorical, fixed, and it is 'bool'; "
     "write categorical"),
    ("{type: categorical, choices: [a], values: [a]}", "search_space.lr.values: there is no such key; write choices"),
    ("[0.1, 1]", "search_space.lr must be a mapping (key: value), and it is a list: write {type: categorical, "
     "choices: [...]}, or {type: float, low: ..., high: ...}"),
    ("0.1", "search_space.lr must be a mapping (key: value), and it is 0.1: write {type: fixed, value: 0.1}"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "said"), FROM_HABIT)
def test_words_of_other_tools_are_answered_with_ours(tmp_path, written, said):
    path = tmp_path / "config.yaml"
    path.write_text(
        f"experiment: {{id: a}}\nsearch_space: {{lr: {written}}}\ntraining: {{command: [train, '{{job_dir}}']}}\n"
    )
    assert problems(path) == [f"{path}:2: {said}"]
