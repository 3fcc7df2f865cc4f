"""Jobs in containers and with modules, with stand-ins for the container runtime and for modules."""

from dataclasses import replace

import pytest
from local_cluster import WRITE_GOOD, make_cluster, request, verdict

from scheduler.container import contained
from scheduler.errors import SchedulerError
from scheduler.job import Container, JobScript
from scheduler.outcome import Failed, Finished

RUNTIME = """#!/bin/sh
# Records its options, then runs what follows the image.
printf '%s\\n' "$@" > "$FAKE_LOG"
shift
while [ "$#" -gt 0 ]; do
  case $1 in
    --bind | --overlay | --pwd) shift 2 ;;
    --*) shift ;;
    *) break ;;
  esac
done
shift
exec "$@"
"""


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    path = tmp_path / "bin" / "apptainer"
    path.parent.mkdir()
    path.write_text(RUNTIME)
    path.chmod(0o755)
    log = tmp_path / "options"
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")
    monkeypatch.setenv("FAKE_LOG", str(log))
    return log


def in_container(job, **values):
    container = Container("apptainer", "image.sif", **values)
    return replace(job, script=replace(job.script, container=container))


def test_the_command_runs_in_the_container(tmp_path, runtime):
    cluster = make_cluster(tmp_path)
    job = in_container(
        request("contained", "import os\nassert os.environ['INSIDE'] == 'it is'\n" + WRITE_GOOD),
        gpu="nvidia", binds=["/data:/data:ro"], overlays=["env.img:ro"],
        options=["--cleanenv"], before=["INSIDE='it is'", "export INSIDE"],
    )  # fmt: skip
    cluster.submit([job])
    assert isinstance(verdict(cluster, job), Finished)
    options = runtime.read_text().splitlines()
    directory = f"{cluster.root}/dir_contained"
    assert options[:12] == [
        "exec", "--nv", "--bind", directory, "--bind", "/data:/data:ro", "--overlay",
        "env.img:ro", "--pwd", directory, "--cleanenv", "image.sif",
    ]  # fmt: skip


def test_the_containers_exit_code_is_the_jobs(tmp_path, runtime):
    cluster = make_cluster(tmp_path)
    job = in_container(request("coded", "import sys\nsys.exit(7)\n"), gpu=None)
    cluster.submit([job])
    found = verdict(cluster, job)
    assert isinstance(found, Failed)
    assert found.failure.exit_code == 7


def test_without_a_container_nothing_is_wrapped():
    assert contained(JobScript(["a", "b c"]), "/d") == ["a", "b c"]


def test_the_working_directory_is_there_inside():
    script = JobScript(["x"], working_directory="/w", container=Container("singularity", "i"))
    words = contained(script, "/d")
    assert words[:2] == ["singularity", "exec"]
    assert words[-4:] == ["--pwd", "/w", "i", "x"]
    assert words[2:6] == ["--bind", "/d", "--bind", "/w"]


@pytest.mark.parametrize("given", [{"modules": ["cuda/12"]}, {"setup": ["module load cuda/12"]}])
def test_modules_are_found_by_a_shell_that_does_not_know_them(tmp_path, monkeypatch, given):
    init = tmp_path / "modules" / "init"
    init.mkdir(parents=True)
    (init / "sh").write_text('module() { [ "$2" != nosuch ] && export LOADED="$2"; }\n')
    monkeypatch.setenv("MODULESHOME", str(init.parent))
    cluster = make_cluster(tmp_path)
    program = "import os\nassert os.environ['LOADED'] == 'cuda/12'\n" + WRITE_GOOD
    good, bad = request("loaded", program), request("unloaded", program)
    good = replace(good, script=replace(good.script, **given))
    bad = replace(bad, script=replace(bad.script, modules=["nosuch"]))
    cluster.submit([good, bad])
    assert isinstance(verdict(cluster, good), Finished)
    found = verdict(cluster, bad)
    assert isinstance(found, Failed)
    assert "module" in found.failure.message


def test_set_up_lines_may_say_source_whatever_the_shell(tmp_path):
    (tmp_path / "env.sh").write_text("export CHOSEN=it\n")
    cluster = make_cluster(tmp_path)
    job = request("sourced", "import os\nassert os.environ['CHOSEN'] == 'it'\n" + WRITE_GOOD)
    job = replace(job, script=replace(job.script, setup=[f"source {tmp_path}/env.sh"]))
    cluster.submit([job])
    assert isinstance(verdict(cluster, job), Finished)


def test_lines_inside_a_container_are_read_by_bash_where_there_is_one(tmp_path, runtime):
    cluster = make_cluster(tmp_path)
    program = "import os\nassert os.environ['SAW'] == 'b c'\n" + WRITE_GOOD
    before = ["list=(a 'b c')", 'export SAW="${list[1]}"']
    job = in_container(request("bashed", program), before=before)
    cluster.submit([job])
    assert isinstance(verdict(cluster, job), Finished)


@pytest.mark.parametrize("path", ["/runs/a:b", "/runs/a,b"])
def test_a_path_that_bind_would_cut_is_refused(path):
    script = JobScript(["true"], container=Container("apptainer", "x.sif"))
    with pytest.raises(SchedulerError, match="choose a directory without"):
        contained(script, path)
    with pytest.raises(SchedulerError, match="choose a directory without"):
        contained(replace(script, working_directory=path), "/runs/a")
