"""Copies that break off, and machines that send what they should not."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.errors import ConnectionLost, SchedulerError, StorageFull
from scheduler.settings import LocalTransportSettings
from scheduler.transport import Completed
from scheduler.transports import copying, open_transport, slices

LOCAL = open_transport(LocalTransportSettings())
Run = Callable[[str, bytes, float], Completed]


class Flaky:
    """This machine, over a line that breaks at chosen round trips, before or after the script."""

    def __init__(self, *broken: int, after: bool = False) -> None:
        self.broken, self.after = broken, after
        self.trips = 0
        self.sent = 0

    def __call__(self, script: str, stdin: bytes, timeout: float) -> Completed:
        self.trips += 1
        breaks = self.trips in self.broken
        if breaks and not self.after:
            raise ConnectionLost("broken before")
        self.sent += len(stdin)
        done = LOCAL.run(script, stdin=stdin, timeout=180)
        if breaks:
            raise ConnectionLost("broken after")
        return done


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_BYTES", 1000)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("broken", range(1, 9))
def test_a_put_that_broke_off_goes_on(tmp_path: Path, broken: int, after: bool) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "large").write_bytes(os.urandom(3500))
    (tmp_path / "here" / "small").write_bytes(os.urandom(500))
    run, far = Flaky(broken, after=after), tmp_path / "far" / "there"
    try:
        copying.put(run, "x", tmp_path / "here", str(far), 180)
    except ConnectionLost:
        assert after or not far.exists()
        copying.put(run, "x", tmp_path / "here", str(far), 180)
    assert (far / "large").read_bytes() == (tmp_path / "here" / "large").read_bytes()
    assert (far / "small").read_bytes() == (tmp_path / "here" / "small").read_bytes()
    assert os.listdir(tmp_path / "far") == ["there"]


def test_what_has_arrived_is_not_sent_again(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(9500))
    run = Flaky(8)
    with pytest.raises(ConnectionLost):
        copying.put(run, "x", tmp_path / "large", str(tmp_path / "far"), 180)
    first, run.sent = run.sent, 0
    copying.put(run, "x", tmp_path / "large", str(tmp_path / "far"), 180)
    overhead = 11_000  # An archive without content is padded to 10 kB.
    assert first + run.sent < 9500 + 2 * overhead
    assert (tmp_path / "far").read_bytes() == (tmp_path / "large").read_bytes()


@pytest.mark.parametrize("broken", range(1, 7))
def test_a_get_that_broke_off_goes_on(tmp_path: Path, broken: int) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "large").write_bytes(os.urandom(4200))
    run = Flaky(broken, after=True)
    with pytest.raises(ConnectionLost):
        copying.get(run, "x", [str(tmp_path / "far")], tmp_path / "back", 180)
    trips = run.trips
    copying.get(run, "x", [str(tmp_path / "far")], tmp_path / "back", 180)
    assert run.trips - trips <= 6 - max(0, trips - 2)
    assert os.listdir(tmp_path / "back" / "far") == ["large"]
    content = (tmp_path / "far" / "large").read_bytes()
    assert (tmp_path / "back" / "far" / "large").read_bytes() == content


def test_a_changed_source_starts_anew(tmp_path: Path) -> None:
    large, far = tmp_path / "large", tmp_path / "far" / "file"
    end = time.monotonic() + 180
    large.write_bytes(b"a" * 5000)
    with pytest.raises(ConnectionLost):
        slices.send_file(Flaky(4), "x", large, str(far), end)
    large.write_bytes(b"b" * 5000)
    os.utime(large, ns=(7, 7))
    slices.send_file(Flaky(), "x", large, str(far), end)
    assert far.read_bytes() == b"b" * 5000
    with pytest.raises(ConnectionLost):
        copying.get(Flaky(3), "x", [str(far)], tmp_path / "back", 180)
    far.write_bytes(b"c" * 5000)
    os.utime(far, ns=(7, 7))
    [made] = copying.get(Flaky(), "x", [str(far)], tmp_path / "back", 180).paths
    assert made.read_bytes() == b"c" * 5000


def test_a_slice_that_arrives_twice_counts_once(tmp_path: Path) -> None:
    """A script that was given up here may still run there when the next one comes."""

    def run(script: str, stdin: bytes, timeout: float) -> Completed:
        done = LOCAL.run(script, stdin=stdin, timeout=180)
        return LOCAL.run(script, stdin=stdin, timeout=180) if stdin else done

    (tmp_path / "large").write_bytes(os.urandom(3500))
    slices.send_file(run, "x", tmp_path / "large", str(tmp_path / "far"), time.monotonic() + 180)
    assert (tmp_path / "far").read_bytes() == (tmp_path / "large").read_bytes()


def test_what_arrives_damaged_is_not_taken_and_sent_anew(tmp_path: Path) -> None:
    def damaged(script: str, stdin: bytes, timeout: float) -> Completed:
        return LOCAL.run(script, stdin=stdin.replace(b"a", b"b"), timeout=180)

    large, far, end = tmp_path / "large", tmp_path / "far" / "file", time.monotonic() + 180
    large.write_bytes(b"a" * 3500)
    with pytest.raises(ConnectionLost, match="is not what was sent"):
        slices.send_file(damaged, "x", large, str(far), end)
    assert os.listdir(far.parent) == []
    slices.send_file(Flaky(), "x", large, str(far), end)
    assert far.read_bytes() == large.read_bytes()


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.write_bytes(bytes(5000))

    def run(script: str, stdin: bytes, timeout: float) -> Completed:
        done = LOCAL.run(script, stdin=stdin, timeout=180)
        far.write_bytes(bytes(10))
        return done

    with pytest.raises(SchedulerError, match="of 1000 bytes"):
        copying.get(run, "x", [str(far)], tmp_path / "back", 180)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(5000))
    with pytest.raises(StorageFull, match=r"cannot write .*No space left") as caught:
        run = _with_full_disk()
        copying.put(run, "x", tmp_path / "large", str(tmp_path / "far"), 180)
    assert "make room for" in caught.value.remedy


def _with_full_disk() -> Run:
    def run(script: str, stdin: bytes, timeout: float) -> Completed:
        return LOCAL.run("cat() { command cat > /dev/full; }\n" + script, stdin=stdin, timeout=180)

    return run


def test_too_little_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(ConnectionLost, match="took too long"):
        copying.put(Flaky(), "x", tmp_path / "file", str(tmp_path / "far"), 0)


def sends(*members: tarfile.TarInfo, listed: bytes = b"") -> Run:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return lambda script, stdin, timeout: Completed(0, listed + b"\0" + stream.getvalue(), b"")


def member(name: str, **values: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in {"size": 1, **values}.items():
        setattr(info, key, value)
    return info


@pytest.fixture(params=["filters", "no filters"])
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """This Python, and as one before 3.11.4, Debian 12's: its tarfile has no filters."""
    if request.param == "no filters":
        for name in ("data_filter", "FilterError", "SpecialFileError", "AbsoluteLinkError"):
            monkeypatch.delattr(tarfile, name, raising=False)
        extractall = tarfile.TarFile.extractall
        monkeypatch.setattr(
            tarfile.TarFile,
            "extractall",
            lambda self, path, members: extractall(self, path, members),
        )
    return str(request.param)


@pytest.mark.usefixtures("python")
def test_what_was_asked_for_comes_without_devices_and_links_that_lead_outside(
    tmp_path: Path,
) -> None:
    outside = tmp_path / "outside"
    answer = sends(
        member("far/sub/log", mode=0o4777, uid=4711, gid=4711, uname="x", gname="y"),
        member("far/away", size=0, type=tarfile.SYMTYPE, linkname=str(outside)),
        member("far/device", size=0, type=tarfile.CHRTYPE),
    )
    made = copying.get(answer, "x", ["/there/far"], tmp_path / "back", 180).paths
    assert made == [tmp_path / "back" / "far"]
    assert [p.name for p in (tmp_path / "back").rglob("*")] == ["far", "sub", "log"]
    told = (tmp_path / "back" / "far" / "sub" / "log").stat()
    assert (told.st_mode & 0o7777, told.st_uid) == (0o755, os.getuid())


@pytest.mark.usefixtures("python")
def test_a_file_onto_a_link_that_leads_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "back" / "far").mkdir(parents=True)
    (tmp_path / "back" / "far" / "log").symlink_to(tmp_path / "outside")
    with pytest.raises(SchedulerError, match="refused"):
        copying.get(sends(member("far/log")), "x", ["/there/far"], tmp_path / "back", 180)
    assert not (tmp_path / "outside").exists()


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("name", ["other", "../far", "far/../../x", "/etc/x", "far/../other"])
def test_names_that_were_not_asked_for_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SchedulerError, match="refused"):
        copying.get(sends(member(name)), "x", ["/there/far"], tmp_path / "in" / "back", 180)
    listed = f"5000 1 {name}\0".encode()
    with pytest.raises(SchedulerError, match="refused"):
        copying.get(sends(listed=listed), "x", ["/there/far"], tmp_path / "in" / "back", 180)
    assert [p for p in tmp_path.rglob("*") if not p.is_dir()] == []


@pytest.mark.usefixtures("python")
def test_a_file_through_a_link_is_refused(tmp_path: Path) -> None:
    """First a link that leads outside, then a file below it."""
    (tmp_path / "outside").mkdir()
    back = tmp_path / "back"
    (back / "far").mkdir(parents=True)
    (back / "far" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(SchedulerError, match="refused"):
        copying.get(sends(member("far/link/x")), "x", ["/there/far"], back, 180)
    with pytest.raises(SchedulerError, match="refused"):
        copying.get(sends(listed=b"5000 1 far/link/x\0"), "x", ["/there/far"], back, 180)
    assert os.listdir(tmp_path / "outside") == []


@given(st.binary(max_size=300))
def test_rubbish_raises_ours_or_is_nothing(
    tmp_path_factory: pytest.TempPathFactory, rubbish: bytes
) -> None:
    back = tmp_path_factory.mktemp("back")
    try:
        made = copying.get(
            lambda *_: Completed(0, rubbish, b""), "x", ["/there/far"], back, 180
        ).paths
    except (ConnectionLost, SchedulerError):
        return
    assert made == []


def test_sources_of_the_same_name_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="different last names"):
        copying.get(Flaky(), "x", ["/a/x", "/b/x"], tmp_path, 180)


def test_a_large_file_in_a_subdirectory_comes_too(tmp_path: Path) -> None:
    best = tmp_path / "far" / "job" / "checkpoints" / "best.pt"
    best.parent.mkdir(parents=True)
    best.write_bytes(os.urandom(3500))
    copying.get(Flaky(), "x", [str(tmp_path / "far" / "job")], tmp_path / "here", 180,
                only=["checkpoints/best.pt"])  # fmt: skip
    assert (tmp_path / "here/job/checkpoints/best.pt").read_bytes() == best.read_bytes()


def test_a_file_that_cannot_be_read_is_an_error_and_costs_no_other(tmp_path: Path) -> None:
    """Waiting would not mend it: the search must not wait for it either."""
    far = tmp_path / "far" / "job"
    far.mkdir(parents=True)
    for name in ("a", "b", "c"):
        (far / name).write_bytes(os.urandom(1500))

    class Unreadable(Flaky):
        def __call__(self, script: str, stdin: bytes, timeout: float) -> Completed:
            return super().__call__(script.replace("./b ", "./gone "), stdin, timeout)

    with pytest.raises(SchedulerError, match=r"far/job/b on x gave 0 of 1000 bytes.*gone"):
        copying.get(Unreadable(), "x", [str(far)], tmp_path / "here", 180)
    assert {path.name for path in (tmp_path / "here/job").glob("[abc]")} == {"a", "c"}
