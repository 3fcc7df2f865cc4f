"""Fetching a data set: from a real HTTP server, checked, once for many processes."""

import hashlib
import http.client
import io
import socket
import ssl
import struct
import subprocess
import sys
import threading
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from training.data import BadData
from training.data.__main__ import main
from training.data.originals import ORIGINALS, fetch

ROOT = Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 4096


class Mirror:
    """Serves one archive; `cut` of its bytes never come, and `resets` breaks the connection there."""

    def __init__(self):
        self.asked, self.cut, self.resets = 0, 0, False
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.asked += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT[: len(CONTENT) - mirror.cut])
                if mirror.resets:
                    at_once = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                    self.connection.close()
                    self.close_connection = True

            def log_message(self, *_):
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/archive"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def mirror():
    made = Mirror()
    yield made
    made.close()


@pytest.fixture
def known(monkeypatch):
    md5 = hashlib.md5(CONTENT).hexdigest()
    monkeypatch.setitem(ORIGINALS, "cifar10", replace(ORIGINALS["cifar10"], md5=md5))
    return md5


def test_an_archive_is_fetched_once(mirror, known, tmp_path):
    assert fetch("cifar10", tmp_path / "new", mirror.url)
    assert (tmp_path / "new" / "cifar-10-python.tar.gz").read_bytes() == CONTENT
    assert not fetch("cifar10", tmp_path / "new", mirror.url)
    assert mirror.asked == 1
    (tmp_path / "new" / "cifar-10-python.tar.gz").write_bytes(b"damaged")
    assert fetch("cifar10", tmp_path / "new", mirror.url)
    names = [path.name for path in (tmp_path / "new").iterdir()]
    assert sorted(names) == [".cifar-10-python.tar.gz.lock", "cifar-10-python.tar.gz"]


def test_of_many_jobs_one_fetches(mirror, known, tmp_path):
    code = (
        "import sys; from dataclasses import replace; from pathlib import Path\n"
        "from training.data.originals import ORIGINALS, fetch\n"
        f"ORIGINALS['cifar10'] = replace(ORIGINALS['cifar10'], md5='{known}')\n"
        f"print(fetch('cifar10', Path('{tmp_path}'), '{mirror.url}'))"
    )
    jobs = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = sorted(job.communicate()[0].strip() for job in jobs)
    assert said == ["False", "False", "True"]
    assert mirror.asked == 1


def test_what_is_cut_off_or_other_is_not_taken(mirror, known, tmp_path, capsys):
    mirror.cut = 1000
    with pytest.raises(BadData, match=r"cut short: 1,047,576 of 1,048,576 bytes came\): try again"):
        fetch("cifar10", tmp_path, mirror.url)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert main(["fetch", "cifar100", "--directory", str(tmp_path), "--url", mirror.url]) == 2
    assert capsys.readouterr().err.startswith("error: fetch: ")


def test_without_the_internet_it_says_what_to_do(tmp_path, capsys):
    arguments = ["fetch", "cifar10", "--directory", str(tmp_path), "--url", "http://127.0.0.1:9/x"]
    assert main(arguments) == 2
    assert "copy cifar-10-python.tar.gz to" in capsys.readouterr().err


def test_a_connection_that_breaks_is_no_fault_of_the_disk(mirror, known, tmp_path):
    mirror.cut, mirror.resets = 500_000, True
    with pytest.raises(BadData, match=r"cannot be had \(.*reset by peer.*\): try again"):
        fetch("cifar10", tmp_path, mirror.url)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


class Failing(io.BytesIO):
    headers = http.client.HTTPMessage()

    def __init__(self, error):
        super().__init__()
        self.error = error

    def read(self, size=-1):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLError(1, "decryption failed or bad record mac"),
        http.client.IncompleteRead(b"", 10),
        OSError(113, "No route to host"),
        TimeoutError("timed out"),
    ],
)
def test_whatever_breaks_it_is_the_networks_fault(tmp_path, monkeypatch, error):
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Failing(error))
    with pytest.raises(BadData, match=r"cannot be had \(.+\): try again"):
        fetch("cifar10", tmp_path, "http://mirror/x")


def test_a_disk_that_takes_no_more_is_no_fault_of_the_network(tmp_path, mirror, monkeypatch):
    monkeypatch.setattr("training.data.originals.open", Full, raising=False)
    with pytest.raises(BadData, match=f"cannot write to {tmp_path}: No space left on device"):
        fetch("cifar10", tmp_path, mirror.url)


class Full(io.FileIO):
    def __init__(self, path, mode):
        super().__init__(path, mode.replace("b", ""))

    def write(self, content):
        raise OSError(28, "No space left on device")
