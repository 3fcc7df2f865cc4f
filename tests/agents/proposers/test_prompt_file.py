"""A person's own prompt: what it may say, and what is told about what it may not."""

import pytest

from agents.config import load
from agents.errors import ConfigurationError
from agents.proposers.template import DEFAULT_PROMPT, NAMES, default_prompt, prompt_template, sample

CONFIG = """\
experiment: {id: e}
search_space: {x: {type: float, low: 0, high: 1}}
training: {command: ["true"]}
llm:
  prompt: my.md.j2
"""


def written(tmp_path, text):
    path = tmp_path / "my.md.j2"
    path.write_text(text)
    return path


def refused(path):
    with pytest.raises(ConfigurationError) as caught:
        prompt_template(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello\n{{ bets }}", ":2: there is no bets; did you mean best? there are task, history, best"),
        ("\n\n{{ task.metrik }}", ":3: there is no task.metrik; did you mean task.metric? there are"),
        ("{% for one in best %}\n{{ ones }}{% endfor %}", ":2: there is no ones"),
        ("a\n{% if best %}\nb", ":3: Unexpected end of template"),
        ("a\n{{ 1 / count.x }}", ":2: 'int object' has no attribute 'x'"),
        ("a\nb\n{{ best[5] }}", ":3: list object has no element 5"),
        ("{{ count | shout }}", ":1: No filter named 'shout'"),
        ("{{ task.names | sum }}", ":1: unsupported operand"),
        ("{% include 'other' %}", ":1: no loader"),
        ("\n{{ ''.__class__.__mro__ }}", ":2: access to attribute '__class__'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_and_line(tmp_path, text, words):
    path = written(tmp_path, text)
    assert f"llm.prompt: {path}{words}" in refused(path)


def test_all_unknown_names_are_told_at_once(tmp_path):
    message = refused(written(tmp_path, "{{ one }}\n{{ two }}\n{{ one }}"))
    assert [line.rsplit(":", 2)[1] for line in message.splitlines()] == ["1", "2", "3"]


def test_a_file_that_is_not_there_or_is_no_text(tmp_path):
    assert "cannot be read: No such file" in refused(tmp_path / "none")
    (tmp_path / "raw").write_bytes(b"\xff\xfe\x00")
    assert "no text in UTF-8" in refused(tmp_path / "raw")


def test_names_of_its_own_loops_and_macros_are_no_faults(tmp_path):
    text = (
        "{% set many = best | length %}{% macro show(line) %}* {{ line }}{% endmacro %}"
        "{% for line in recent %}{{ loop.index }} {{ show(line) }} {{ many }}{% endfor %}"
    )
    template = prompt_template(written(tmp_path, text))
    assert template.render(sample(["a"])) == "1 * a 1"


def test_the_default_one_uses_every_name_and_nothing_else():
    text = default_prompt()
    prompt_template(DEFAULT_PROMPT)
    shown = [f"{n}.{p}" for n, parts in NAMES.items() for p in parts] + [
        n for n, parts in NAMES.items() if not parts
    ]
    assert [name for name in shown if name not in text and name != "task.names"] == []


def test_it_is_checked_with_the_configuration_and_lies_beside_it(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    path = written(tmp_path, "{{ bets }}")
    with pytest.raises(ConfigurationError) as caught:
        load(config)
    [line] = str(caught.value).splitlines()
    assert line.startswith(
        f"{config}:5: llm.prompt: {path}:1: there is no bets; did you mean best?"
    )
    path.write_text("{{ best }}")
    assert load(config).settings.llm.prompt == path
