"""gallery-dl, run as a program of its own: its settings, its process, and what its exit code means."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO, Any, Literal

from dataset_assets.config import Scrape
from dataset_assets.domain.wording import counted
from dataset_assets.sources import program_guard

SECONDS_BETWEEN_REPORTS = 5.0
STOP_S = 5.0
KEPT_LINES = 40
# What a program may need of the environment; no key of anything else is among it.
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "SYSTEMROOT")
# Bits of the exit code. Source: gallery-dl's documentation, "Exit codes", and its exception.py.
EXIT_BITS = {
    1: "ended by an unexpected error",
    2: "did not understand its arguments",
    4: "some files or works could not be fetched",
    8: "a site asks for a proof that a person is there",
    16: "the site refused the login",
    32: "did not understand its settings",
    64: "no site that it knows",
    128: "could not write its files",
}
# After these, asking for the next thing would end the same.
FATAL_BITS = 1 | 2 | 16 | 32 | 128
Limit = Literal["time", "bytes"]


class ScrapeFailed(Exception):
    """A scrape that a person must mend: no program, a refused login, a full disk."""


@dataclass
class Run:
    """What a run of the program did: its exit code, null = it was stopped at a limit; files, bytes; its last words."""

    code: int | None = None
    limit: Limit | None = None
    files: int = 0
    skipped: int = 0
    bytes: int = 0
    said: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))


def find_program(named: str | None) -> list[str]:
    """The command that runs gallery-dl: the named one, that of this Python, or the one on the PATH.

    Raises: ScrapeFailed when there is none.
    """
    if named:
        return [named]
    if importlib.util.find_spec("gallery_dl"):
        return [sys.executable, "-P", "-m", "gallery_dl"]
    if found := shutil.which("gallery-dl"):
        return [found]
    raise ScrapeFailed("gallery-dl is not installed; pip install 'dataset_assets[gallery-dl]'")


def settings_of(scrape: Scrape, folder: Path, state: Path, token: str | None) -> dict[str, Any]:
    """gallery-dl's settings: where files go, what is written beside them, how hard a site is asked."""
    sidecar = {"name": "metadata", "mode": "json"}
    first, last = scrape.pause_s
    return {
        "extractor": {
            "base-directory": f"{folder}{os.sep}",
            "archive": str(state / "archive.sqlite3"),
            "skip": True,
            # A kill between an image and its sidecar is mended when the image is met again.
            "postprocessors": [{**sidecar, "event": "file"}, {**sidecar, "event": "skip", "skip": True}],
            "sleep-request": f"{first}-{last}",
            "retries": scrape.retries,
            "timeout": 30.0,
            "proxy-env": False,
            "netrc": False,
            "cookies": None,
            "pixiv": {
                "refresh-token": token,
                "directory": ["pixiv", "\fF {id % 1000:04d}"],
                "filename": "{id}_p{num}.{extension}",
            },
        },
        "downloader": {
            "part": True,
            "mtime": False,  # when it came here says more about what changed here
            "rate": scrape.rate,
            "filesize-max": str(scrape.max_file_bytes),
            "http": {"adjust-extensions": True},
        },
        "output": {
            "mode": "pipe",
            "progress": False,
            "errorfile": {"path": str(state / "failed.txt"), "mode": "a"},
        },
        "cache": {"file": ":memory:"},  # what a login gave is kept nowhere
        "input": False,
    }


def run_program(
    program: Sequence[str],
    settings: dict[str, Any],
    requests: Path,
    state: Path,
    say: Callable[[str], None],
    deadline: float,
    bytes_left: float,
) -> Run:
    """Run gallery-dl over a file of addresses, in which it marks those that are done, until the end or a limit.

    The settings go in by a pipe: a token in them stands in no file, argument or environment. The process group ends
    with this call, however it ends, and with this process, however that ends. `deadline` is of `time.monotonic`.
    """
    arguments = ["--config-ignore", "--config", "/dev/stdin", "--no-input", "--no-colors", "-I", str(requests)]
    command = [sys.executable, "-I", str(Path(program_guard.__file__)), *program, *arguments]
    given = json.dumps(settings).encode()
    secret = settings["extractor"]["pixiv"]["refresh-token"]
    run = Run()
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=state,
        env=_environment(state),
        start_new_session=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        readers = [
            Thread(target=_read_files, args=(process.stdout, run)),
            Thread(target=_read_words, args=(process.stderr, run, secret)),
        ]
        for reader in readers:
            reader.start()
        try:
            process.stdin.write(b"%d\n" % len(given) + given)
            process.stdin.flush()
            run.limit = _wait(process, run, say, deadline, bytes_left)
        finally:
            _stop(process)
            for reader in readers:
                reader.join()
    run.code = None if run.limit else process.returncode
    return run


def explain(run: Run) -> str:
    """What an exit code says, and the program's last words."""
    code = run.code or 0
    meant = "; ".join(meaning for bit, meaning in EXIT_BITS.items() if code & bit)
    words = " | ".join(line for line in run.said if "[error]" in line) or " | ".join(list(run.said)[-3:])
    return f"gallery-dl: {meant or 'ended well'} (exit code {code}){': ' if words else ''}{words}"[:2000]


def require_no_fatal_end(run: Run) -> None:
    """Raises: ScrapeFailed when the next request would end the same."""
    code = run.code or 0
    if code & 16:
        raise ScrapeFailed(f"{explain(run)}; set PIXIV_REFRESH_TOKEN, which `gallery-dl oauth:pixiv` gives")
    if code & FATAL_BITS:
        raise ScrapeFailed(explain(run))


def _wait(
    process: "subprocess.Popen[bytes]", run: Run, say: Callable[[str], None], deadline: float, bytes_left: float
) -> Limit | None:
    """Wait for the end; the limit that came first, null = none did."""
    began = reported = time.monotonic()
    while True:
        try:
            process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if now > deadline:
                return "time"
            if run.bytes > bytes_left:
                return "bytes"
            if now - reported >= SECONDS_BETWEEN_REPORTS:
                reported = now
                rate = run.files / (now - began)
                fetched = f"{counted(run.files, 'file')}, {run.bytes / 1e6:,.1f} MB, {rate:.1f} files/s"
                say(f"gallery-dl: {fetched}, {run.skipped:,} known before")
        else:
            return None


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the process group, gently at first."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            try:
                os.killpg(process.pid, sign)
                process.wait(timeout=STOP_S)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
    process.wait()


def _read_files(lines: IO[bytes], run: Run) -> None:
    """Count the files that the program names: one a line, `# ` before one that was there."""
    for line in lines:
        name = line.rstrip(b"\r\n")
        if name.startswith(b"# "):
            run.skipped += 1
        elif name:
            run.files += 1
            try:
                run.bytes += os.stat(name).st_size
            except OSError:
                continue


def _read_words(lines: IO[bytes], run: Run, secret: str | None) -> None:
    for line in lines:
        text = line.decode("utf-8", "backslashreplace").strip()
        if secret:
            text = text.replace(secret, "***")
        run.said.append(re.sub(r"(?i)((?:refresh|access)_token|bearer|authorization)(\W+)\S+", r"\1\2***", text)[:400])


def _environment(home: Path) -> dict[str, str]:
    """The program's environment: a home of its own, so that it finds no settings, logins or cookies of anybody."""
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
