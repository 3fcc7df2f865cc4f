"""What every transport promises, held by each of them against a real machine (this one)."""

from __future__ import annotations

import os
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scheduler.errors import ConnectionLost, SchedulerError, StorageFull
from scheduler.shell import quote
from scheduler.transport import Transport, TransportState
from scheduler.transports import child, slices

LIMIT = 180.0
EVERY_BYTE = bytes(range(256))


def test_is_ready(transport: Transport) -> None:
    assert transport.state() is TransportState.READY


@pytest.mark.parametrize("code", [0, 1, 2, 77, 124, 127, 137, 255])
def test_exit_code_is_the_scripts_own(transport: Transport, code: int) -> None:
    assert transport.run(f"exit {code}", timeout=LIMIT).code == code


def test_death_by_signal_of_a_command_is_an_exit_code(transport: Transport) -> None:
    assert transport.run("sh -c 'kill -9 $$'", timeout=LIMIT).code == 137


def test_outputs_are_separate_and_whole(transport: Transport) -> None:
    done = transport.run("printf out; printf err >&2; printf ' more\\n\\n'", timeout=LIMIT)
    assert (done.stdout, done.stderr) == (b"out more\n\n", b"err")


def test_no_output_is_no_output(transport: Transport) -> None:
    done = transport.run(":", timeout=LIMIT)
    assert (done.code, done.stdout, done.stderr) == (0, b"", b"")


def test_input_arrives_byte_by_byte(transport: Transport) -> None:
    data = b"first line\n" + EVERY_BYTE * 5
    assert transport.run("cat", stdin=data, timeout=LIMIT).stdout == data


def test_script_can_read_its_input_in_parts(transport: Transport) -> None:
    done = transport.run(
        'read -r a; read -r b; echo "$b $a"; cat', stdin=b"x\ny\n\0z", timeout=LIMIT
    )
    assert done.stdout == b"y x\n\0z"


def test_no_input_is_an_empty_file(transport: Transport) -> None:
    assert transport.run("cat; echo end", timeout=LIMIT).stdout == b"end\n"


def test_input_that_nobody_reads_is_no_error(transport: Transport) -> None:
    done = transport.run("echo done", stdin=bytes(3_000_000), timeout=LIMIT)
    assert (done.code, done.stdout) == (0, b"done\n")


def test_ten_megabytes_both_ways(transport: Transport) -> None:
    data = random.Random(1).randbytes(10_000_000)
    assert transport.run("cat", stdin=data, timeout=LIMIT).stdout == data


def test_a_script_of_a_megabyte(transport: Transport) -> None:
    script = "".join(f": {i:>90} 'filling'\n" for i in range(10_000)) + "echo end; cat"
    assert len(script) > 1_000_000
    assert transport.run(script, stdin=b"in", timeout=LIMIT).stdout == b"end\nin"


def test_text_passes_through_the_script_as_it_is(transport: Transport) -> None:
    text = "'\"`$HOME\\n\\0101 %s %% ! # ~ * é 数\n\ttab \x01\x7f \\c end\\"
    assert transport.run(f"printf %s {quote(text)}", timeout=LIMIT).stdout == text.encode()


def test_here_documents_and_functions_work(transport: Transport) -> None:
    script = "f() {\n  cat <<'E'\n$x `y` \\\nE\n}\nf\nwhile read -r l; do echo \"<$l>\"; done <<E\n$((1+1))\nE\n"
    assert transport.run(script, timeout=LIMIT).stdout == b"$x `y` \\\n<2>\n"


def test_a_script_that_does_not_parse_fails_as_such(transport: Transport) -> None:
    done = transport.run("echo 'open", timeout=LIMIT)
    assert done.code != 0 and done.stderr


def test_a_script_cannot_hold_nul(transport: Transport) -> None:
    with pytest.raises(ValueError, match="NUL"):
        transport.run("echo \0", timeout=LIMIT)


def test_what_looks_like_our_markers_is_output(transport: Transport) -> None:
    fake = "\n@0123456789abcdef begin\n\n@0123456789abcdef end 0\n"
    done = transport.run(f"printf %s {quote(fake)}; exit 4", timeout=LIMIT)
    assert (done.code, done.stdout) == (4, fake.encode())


def test_nothing_of_script_or_input_is_in_a_process_list(transport: Transport) -> None:
    secret = "a-word-that-only-the-script-and-input-hold"
    script = f"# {secret}\ncat > /dev/null; ps -eo args"
    done = transport.run(script, stdin=secret.encode(), timeout=LIMIT)
    assert b"ps -eo args" in done.stdout
    assert secret.encode() not in done.stdout


def test_time_limit_leaves_the_outcome_unknown(transport: Transport) -> None:
    for limit in (0.5, 4, 32):  # On a slow machine it does not even begin in half a second.
        with pytest.raises(ConnectionLost) as caught:
            transport.run("sleep 300", timeout=limit)
        if found := re.search(r"did not end within ([\d.]+) s", str(caught.value)):
            break
    assert found and limit / 2 < float(found[1]) <= limit


def test_children_left_behind_do_not_hold_the_answer(transport: Transport, tmp_path: Path) -> None:
    """A job started in a session of its own, with our outputs still open, is left alone."""
    script = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60' & while [ ! -s {tmp_path}/pid ]; do :; done; echo on"
    assert transport.run(script, timeout=LIMIT).stdout == b"on\n"
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, 9)  # ProcessLookupError here: it had not survived.


def test_eight_threads_at_once(transport: Transport) -> None:
    barrier = threading.Barrier(8)

    def one(number: int) -> bool:
        barrier.wait()
        data = bytes([number]) * 200_000
        done = transport.run(f"cat; exit {number}", stdin=data, timeout=LIMIT)
        return done.code == number and done.stdout == data

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(8)))


def test_output_without_end_is_ended(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "MAX_OUTPUT_BYTES", 1_000_000)
    with pytest.raises(SchedulerError, match="printed more than"):
        transport.run("yes", timeout=LIMIT)
    assert transport.run("echo on", timeout=LIMIT).stdout == b"on\n"


def test_nothing_is_held_open_between_calls(transport: Transport) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    transport.run(":", timeout=LIMIT)
    before, others = open_files(), _children()  # such as the daemons of other tests
    for _ in range(20):
        transport.run("echo x", timeout=LIMIT)
    assert open_files() <= before
    assert _all_sshd(_children() - others)


def _all_sshd(pids: set[int]) -> bool:
    return all("sshd" in Path(f"/proc/{pid}/comm").read_text() for pid in pids)


def _children() -> set[int]:
    text = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
    return {int(pid) for pid in text.split()}


ODD_NAMES = ("with space", "-leading", "quote'\"`$x", "été 数", "back\\slash", "star*?[a]", ".dot")


def tree(root: Path) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        else:
            found[name] = path.read_bytes() if path.is_file() else "directory"
    return found


def make_tree(root: Path) -> None:
    for name in ODD_NAMES:
        (root / name / "deep").mkdir(parents=True)
        (root / name / "deep" / name).write_bytes(EVERY_BYTE)
    (root / "empty").mkdir()
    (root / "link").symlink_to("-leading/deep")
    (root / "tool").write_text("#!/bin/sh\n")
    (root / "tool").chmod(0o755)


def test_a_tree_goes_there_and_back_unchanged(transport: Transport, tmp_path: Path) -> None:
    make_tree(tmp_path / "here")
    there = tmp_path / "far" / "o'f all" / "there"
    transport.put(tmp_path / "here", str(there), timeout=LIMIT)
    assert tree(there) == tree(tmp_path / "here")
    assert os.access(there / "tool", os.X_OK)
    made = transport.get([str(there)], tmp_path / "back", timeout=LIMIT).paths
    assert made == [tmp_path / "back" / "there"]
    assert tree(made[0]) == tree(tmp_path / "here")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_file_keeps_its_odd_name(transport: Transport, tmp_path: Path, name: str) -> None:
    (tmp_path / "source").write_bytes(EVERY_BYTE)
    far = tmp_path / "far" / name
    transport.put(tmp_path / "source", str(far), timeout=LIMIT)
    assert far.read_bytes() == EVERY_BYTE
    assert os.listdir(far.parent) == [name]
    made = transport.get([str(far)], tmp_path / "back", timeout=LIMIT).paths
    assert made == [tmp_path / "back" / name] and made[0].read_bytes() == EVERY_BYTE


def test_put_replaces_a_file_and_adds_to_a_directory(transport: Transport, tmp_path: Path) -> None:
    far = tmp_path / "far"
    for content in ("old", "new"):
        (tmp_path / "source").write_text(content)
        (tmp_path / "more").mkdir(exist_ok=True)
        (tmp_path / "more" / content).write_text(content)
        transport.put(tmp_path / "source", str(far / "file"), timeout=LIMIT)
        transport.put(tmp_path / "more", str(far / "more"), timeout=LIMIT)
        (tmp_path / "more" / content).unlink()
    assert tree(far) == {
        "file": b"new",
        "more": "directory",
        "more/new": b"new",
        "more/old": b"old",
    }


def test_put_where_nothing_can_be_written(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageFull, match="cannot write /proc/none/x"):
        transport.put(tmp_path / "file", "/proc/none/x", timeout=LIMIT)
    (tmp_path / "directory").mkdir()
    with pytest.raises(StorageFull, match="it is a directory"):
        transport.put(tmp_path / "file", str(tmp_path / "directory"), timeout=LIMIT)


def test_put_of_what_is_not_here(transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match="No such file"):
        transport.put(tmp_path / "nothing", str(tmp_path / "far"), timeout=LIMIT)


def test_get_leaves_out_what_is_missing(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    sources = [str(tmp_path / "none"), str(tmp_path / "a"), "/no/such/directory/b"]
    made = transport.get(sources, tmp_path / "back", timeout=LIMIT).paths
    assert made == [tmp_path / "back" / "a"]
    none = transport.get([str(tmp_path / "none")], tmp_path / "none2", timeout=LIMIT)
    assert none.paths == []


def test_get_leaves_out_links_that_lead_outside(transport: Transport, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (far / "inside").symlink_to("file")
    (far / "outside").symlink_to("/etc")
    (far / "above").symlink_to("../..")
    (far / "file").write_text("x")
    os.mkfifo(far / "pipe")
    [made] = transport.get([str(far)], tmp_path / "back", timeout=LIMIT).paths
    assert tree(made) == {"file": b"x", "inside": "-> file"}


def test_get_leaves_out_large_files_where_told(transport: Transport, tmp_path: Path) -> None:
    for name, size in (("small", 10), ("exact", 100), ("over", 101)):
        (tmp_path / "far" / name).mkdir(parents=True)
        (tmp_path / "far" / name / "file").write_bytes(bytes(size))
    source = str(tmp_path / "far")
    copied = transport.get([source], tmp_path / "back", timeout=LIMIT, largest=100)
    [made] = copied.paths
    assert {name for name in tree(made) if name.endswith("file")} == {"small/file", "exact/file"}
    assert copied.too_large == ["far/over/file"]


def test_get_brings_what_is_chosen_and_nothing_else(transport: Transport, tmp_path: Path) -> None:
    far = tmp_path / "far's"
    for name in ("job.out", "checkpoints/best.pt", "checkpoints/last.pt", "we'ird $1/x y", "other"):
        (far / name).parent.mkdir(parents=True, exist_ok=True)
        (far / name).write_text(name)
    (far / "link").symlink_to("other")
    only = ["job.*", "checkpoints/best.*", "we'ird $1/*", "absent"]
    copied = transport.get([str(far)], tmp_path / "back", timeout=LIMIT, only=only)
    assert {n: t for n, t in tree(copied.paths[0]).items() if t != "directory"} == {
        name: name.encode() for name in ("job.out", "checkpoints/best.pt", "we'ird $1/x y")
    }
    none = transport.get([str(far)], tmp_path / "none", timeout=LIMIT, only=["absent"])
    assert none.paths == []


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(slices, "SLICE_BYTES", 10_000)
    return 10_000


def test_large_files_travel_in_slices(
    transport: Transport, tmp_path: Path, small_slices: int
) -> None:
    make_tree(tmp_path / "here")
    sizes = {"just": small_slices, "under": small_slices - 1, "over": 3 * small_slices + 7}
    for name, size in sizes.items():
        (tmp_path / "here" / "-leading" / name).write_bytes(random.Random(name).randbytes(size))
    (tmp_path / "here" / "-leading" / "over").chmod(0o755)
    far = tmp_path / "far" / "there"
    transport.put(tmp_path / "here", str(far), timeout=LIMIT)
    assert tree(far) == tree(tmp_path / "here")
    assert os.access(far / "-leading" / "over", os.X_OK)
    [made] = transport.get([str(far)], tmp_path / "back", timeout=LIMIT).paths
    assert tree(made) == tree(tmp_path / "here")
    assert os.listdir(far.parent) == ["there"]
    single = tmp_path / "here" / "-leading" / "over"
    transport.put(single, str(tmp_path / "far" / "it's one"), timeout=LIMIT)
    one = str(tmp_path / "far" / "it's one")
    [made] = transport.get([one], tmp_path / "back", timeout=LIMIT).paths
    assert made.read_bytes() == single.read_bytes()
