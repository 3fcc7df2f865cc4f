"""Code snapshots: complete or absent, sent once, and what git says belongs to them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler import staging
from scheduler.errors import ConnectionLost, SchedulerError, StorageFull
from scheduler.settings import LocalTransportSettings
from scheduler.staging import stage
from scheduler.transport import Completed, Transport, TransportState
from scheduler.transports import open_transport, slices

LOCAL = open_transport(LocalTransportSettings())


class Counting:
    """This machine; counts what is sent, breaks where told."""

    name = "counting"

    def __init__(self, *broken: int) -> None:
        self.broken, self.trips, self.sent = broken, 0, 0

    def run(self, script: str, *, stdin: bytes = b"", timeout: float) -> Completed:
        self.trips += 1
        self.sent += len(stdin)
        done = LOCAL.run(script, stdin=stdin, timeout=180)
        if self.trips in self.broken:
            raise ConnectionLost("broken")
        return done

    def put(self, source: Path, destination: str, *, timeout: float) -> None:
        raise NotImplementedError

    def get(
        self,
        sources: Sequence[str],
        destination: Path,
        *,
        timeout: float,
        largest: int | None = None,
    ) -> list[Path]:
        raise NotImplementedError

    def state(self) -> TransportState:
        return TransportState.READY

    def remedy(self) -> str:
        return ""

    def close(self) -> None:
        pass


def content(root: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(root)): f"-> {os.readlink(path)}"
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def code(tmp_path: Path) -> Path:
    root = tmp_path / "code"
    for name in ("train.py", "package/deep/été 'x'.py", "package/-odd name", ".hidden"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "package" / "run.sh").write_text("#!/bin/sh\n")
    (root / "package" / "run.sh").chmod(0o755)
    (root / "same").write_text("train.py")
    (root / "link").symlink_to("package")
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "x.pyc").write_text("x")
    return root


def expected(code: Path) -> dict[str, bytes | str]:
    return {k: v for k, v in content(code).items() if "pycache" not in k and ".git/" not in k}


def test_a_snapshot_is_the_tree(transport: Transport, code: Path, tmp_path: Path) -> None:
    staged = stage(transport, {"code": code}, str(tmp_path / "far"), timeout=180)
    assert content(Path(staged.path) / "code") == expected(code)
    assert os.access(f"{staged.path}/code/package/run.sh", os.X_OK)
    assert not os.access(f"{staged.path}/code/train.py", os.X_OK)
    assert Path(staged.path).parent == tmp_path / "far" and staged.files == len(expected(code))


def test_what_a_purge_took_is_put_back(transport: Transport, code: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    first = stage(transport, {"code": code}, str(far), timeout=180)
    there = Path(first.path, "code")
    kept = (there / "train.py").stat().st_ino
    (there / "__pycache__").mkdir()  # A job's own: not missed, not in the way.
    (there / "__pycache__" / "x.pyc").write_text("x")
    for lost in ("package/deep/été 'x'.py", "package/run.sh", "link", ".hidden"):
        (there / lost).unlink()
    for piece in (far / "pieces").glob("*.tool"):
        piece.unlink()
    again = stage(transport, {"code": code}, str(far), timeout=180)
    assert again.sent == len("#!/bin/sh\n")
    (there / "__pycache__" / "x.pyc").unlink()
    assert content(there) == expected(code)
    assert os.access(there / "package/run.sh", os.X_OK)
    assert (there / "train.py").stat().st_ino == kept
    assert stage(transport, {"code": code}, str(far), timeout=180).sent == 0
    assert not list(far.rglob(".new.*"))


def test_a_file_that_was_cut_short_is_put_back(code: Path, tmp_path: Path) -> None:
    first = stage(Counting(), {"code": code}, str(tmp_path / "far"), timeout=180)
    cut = Path(first.path, "code", ".hidden")
    cut.unlink()
    cut.write_text("cut")
    line = Counting()
    stage(line, {"code": code}, str(tmp_path / "far"), timeout=180)
    assert (cut.read_text(), line.trips) == (".hidden", 2)
    line = Counting()
    stage(line, {"code": code}, str(tmp_path / "far"), timeout=180)
    assert line.trips == 1


def test_the_unchanged_is_not_sent_again(code: Path, tmp_path: Path) -> None:
    far = str(tmp_path / "far")
    first = stage(Counting(), {"code": code}, far, timeout=180)
    line = Counting()
    again = stage(line, {"code": code}, far, timeout=180)
    assert (again.path, again.sent, line.trips) == (first.path, 0, 1)
    (code / "train.py").write_text("changed")
    line = Counting()
    changed = stage(line, {"code": code}, far, timeout=180)
    assert changed.path != first.path and changed.sent == len("changed") and line.trips == 3
    assert Path(first.path, "code/train.py").read_text() == "train.py"
    assert Path(changed.path, "code/train.py").read_text() == "changed"


def test_a_mode_or_a_name_makes_another_snapshot(code: Path, tmp_path: Path) -> None:
    paths = [stage(Counting(), {"code": code}, str(tmp_path / "far"), timeout=180).path]
    (code / "train.py").chmod(0o755)
    paths.append(stage(Counting(), {"code": code}, str(tmp_path / "far"), timeout=180).path)
    (code / "train.py").rename(code / "other.py")
    paths.append(stage(Counting(), {"code": code}, str(tmp_path / "far"), timeout=180).path)
    assert len(set(paths)) == 3
    assert os.access(f"{paths[1]}/code/train.py", os.X_OK)
    assert not os.access(f"{paths[0]}/code/train.py", os.X_OK)


@pytest.mark.parametrize("broken", range(1, 9))
def test_a_broken_line_leaves_no_half_snapshot(
    code: Path, tmp_path: Path, broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "SLICE_BYTES", 1000)
    monkeypatch.setattr(staging, "SLICE_BYTES", 1000)
    (code / "data").write_bytes(os.urandom(2500))
    far = tmp_path / "far"
    try:
        stage(Counting(broken), {"code": code}, str(far), timeout=180)
    except ConnectionLost:
        snapshots = [p for p in far.iterdir() if p.name != "pieces"]
        assert all(content(p / "code") == expected(code) for p in snapshots)
    staged = stage(Counting(), {"code": code}, str(far), timeout=180)
    assert content(Path(staged.path) / "code") == expected(code)
    assert sorted(os.listdir(far)) == sorted(["pieces", staged.digest])
    assert [n for n in os.listdir(far / "pieces") if n.startswith(".")] == []


def test_git_says_what_belongs_to_the_code(code: Path, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", code, *words], check=True, stdout=subprocess.DEVNULL)

    git("init", "-q")
    git("init", "-q", "module")
    (code / "module" / "part.py").write_text("part")
    (code / ".gitignore").write_text("*.ckpt\n__pycache__\n")
    (code / "big.ckpt").write_text("ignored")
    git("add", "train.py", "same", ".gitignore")
    (code / "same").unlink()
    staged = stage(Counting(), {"code": code}, str(tmp_path / "far"), timeout=180)
    names = set(content(Path(staged.path) / "code"))
    assert names == set(expected(code)) - {"big.ckpt"}
    assert "same" not in names and "package/-odd name" in names


def test_several_sources_under_their_names(code: Path, tmp_path: Path) -> None:
    sources = {"a": code / "package", "one/file.py": code / "train.py"}
    staged = stage(Counting(), sources, str(tmp_path / "far"), timeout=180)
    assert "a/run.sh" in content(Path(staged.path))
    assert Path(staged.path, "one/file.py").read_text() == "train.py"


def test_a_damaged_piece_is_not_taken(code: Path, tmp_path: Path) -> None:
    class Damaging(Counting):
        def run(self, script: str, *, stdin: bytes = b"", timeout: float) -> Completed:
            return super().run(script, stdin=stdin.replace(b"#!/bin/sh", b"#!/bin/xx"), timeout=180)

    with pytest.raises(StorageFull, match="SHA-256 differs"):
        stage(Damaging(), {"code": code}, str(tmp_path / "far"), timeout=180)


def test_errors_name_the_file(code: Path, tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match=r"cannot read .*nothing for staging"):
        stage(Counting(), {"x": code / "nothing"}, str(tmp_path / "far"), timeout=180)
    with pytest.raises(StorageFull, match="below /proc/none"):
        stage(Counting(), {"code": code}, "/proc/none", timeout=180)
    (code / "new\nline").write_text("x")
    with pytest.raises(SchedulerError, match="cannot be staged"):
        stage(Counting(), {"code": code}, str(tmp_path / "far"), timeout=180)


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=50), unique=True, max_size=6), st.data())
def test_any_contents(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("any")
    names = data.draw(
        st.lists(
            st.text(
                st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"]),
                min_size=1,
                max_size=20,
            ),
            min_size=len(contents),
            max_size=len(contents),
            unique=True,
        ).filter(lambda names: not {".", ".."} & set(names))
    )
    (root / "code").mkdir()
    for name, each in zip(names, contents, strict=True):
        (root / "code" / name).write_bytes(each)
    staged = stage(Counting(), {"code": root / "code"}, str(root / "far"), timeout=180)
    assert content(Path(staged.path) / "code") == dict(zip(names, contents, strict=True))


@pytest.mark.parametrize("name", ["BLOCK_SIZE", "LS_BLOCK_SIZE", "QUOTING_STYLE"])
def test_a_taste_in_listings_does_not_make_a_whole_snapshot_look_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = tmp_path / "code"
    source.mkdir()
    (source / "a program.py").write_text("#" * 5000)
    monkeypatch.setenv(name, "shell" if name == "QUOTING_STYLE" else "human-readable")
    there = str(tmp_path / "there")
    stage(LOCAL, {"code": source}, there, timeout=180)
    again = Counting()
    stage(again, {"code": source}, there, timeout=180)
    assert again.trips == 1


class Anybody(Counting):
    """This machine, for a user who is not root (root writes everywhere unless it gives that up)."""

    def run(self, script: str, *, stdin: bytes = b"", timeout: float) -> Completed:
        words = ["--bounding-set=-dac_override", "--inh-caps=-dac_override", "sh", "-c", script]
        command = words[2:] if os.geteuid() else ["setpriv", *words]
        done = subprocess.run(command, input=stdin, capture_output=True)
        return Completed(done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(not os.geteuid() and shutil.which("setpriv") is None, reason="needs util-linux")
def test_where_a_colleague_was_first_there_is_a_place_of_ones_own(tmp_path: Path) -> None:
    ours, theirs, code = tmp_path / "ours.py", tmp_path / "theirs.py", tmp_path / "far" / "code"
    ours.write_text("ours")
    theirs.write_text("theirs")
    stage(LOCAL, {"a.py": theirs}, str(code), timeout=180)
    closed = [code, *(place for place in code.rglob("*") if place.is_dir())]
    for place in closed:
        place.chmod(0o555)
    same = stage(Anybody(), {"a.py": theirs}, str(code), timeout=180)
    assert (Path(same.path).parent, same.sent) == (code, 0)
    other = stage(Anybody(), {"a.py": ours}, str(code), timeout=180)
    assert Path(other.path).parent == code.with_name(f"code-{os.geteuid()}")
    assert Path(other.path, "a.py").read_text() == "ours"
    again = stage(Anybody(), {"a.py": ours}, str(code), timeout=180)
    assert (again.path, again.sent) == (other.path, 0)
    # A run that goes on asks for it where it lies.
    kept = stage(Anybody(), {"a.py": ours}, str(Path(other.path).parent), timeout=180)
    assert (kept.path, kept.sent) == (other.path, 0)
    for place in closed:
        place.chmod(0o755)
