"""A search of one trial that is over at once, for tests of what comes after it."""

import os

import forked

PROGRAM = """\
echo '{"schema": 1, "status": "completed", "metrics": {"accuracy_auc": 0.5}}' > "$1/r"
mv "$1/r" "$1/results.json"
"""


def write_quick_search(base, directories=""):
    """Its configuration, in `base`, where its runs go too; `directories` adds to that section."""
    (base / "program.sh").write_text(PROGRAM)
    path = base / "config.yaml"
    path.write_text(
        "experiment: {id: small}\n"
        "search_space: {x: {type: float, low: 0, high: 1}}\n"
        "loop: {max_iterations: 1, jobs_per_iteration: 1}\n"
        "proposer: {kind: sampler}\n"
        f'training: {{command: [sh, "{base}/program.sh", "{{job_dir}}"]}}\n'
        "cluster: {poll: {floor: 0.05s}}\n"
        f'directories: {{local_base: "{base}/results"{directories}}}\n'
    )
    return path


def run(*words):
    """The command line in a process of its own, without a terminal."""
    return forked.command(words, environment={**os.environ, "NO_COLOR": "1", "COLUMNS": "80"})
