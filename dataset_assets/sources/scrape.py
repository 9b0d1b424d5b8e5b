"""A scrape by gallery-dl from its first request to its last, in batches; one that was killed goes on where it was."""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dataset_assets.config import Scrape
from dataset_assets.sources.gallery_dl_program import (
    Run,
    ScrapeFailed,
    explain,
    require_no_fatal_end,
    run_program,
    settings_of,
)
from dataset_assets.sources.scrape_requests import Request, State

# gallery-dl writes its file of requests anew after each: a short one costs little.
REQUESTS_PER_RUN = 500


@dataclass
class Scraped:
    """What became of the requests by address, and the totals of this run."""

    states: dict[str, tuple[State, str | None]] = field(default_factory=dict)
    files: int = 0
    known: int = 0
    bytes: int = 0
    limit: str | None = None


@dataclass(frozen=True)
class Scraper:
    """One source's scrape. folder: where files go; state: where it keeps what it needs to go on."""

    program: Sequence[str]
    scrape: Scrape
    folder: Path
    state: Path
    token: str | None
    say: Callable[[str], None]

    def run(self, requests: Iterable[Request]) -> Scraped:
        """Ask for everything that an earlier, unfinished run of the same scrape has not asked for.

        Raises: ScrapeFailed; what was asked for until then need not be asked again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(parents=True, exist_ok=True)
        done = Scraped(self._asked_before())
        waiting = [request for request in requests if request.url not in done.states]
        deadline = time.monotonic() + self.scrape.max_seconds
        for number, batch in enumerate(_batches(waiting)):
            self.say(f"gallery-dl: {number * REQUESTS_PER_RUN:,} of {len(waiting):,} requests made")
            run = self._ask(batch, deadline, self.scrape.max_bytes - done.bytes)
            done.files, done.known, done.bytes = (
                done.files + run.files,
                done.known + run.skipped,
                done.bytes + run.bytes,
            )
            try:
                require_no_fatal_end(run)
            except ScrapeFailed:  # such as a refused login: what failed with it was never really asked for
                self._note(explain(run), failures=False)
                raise
            done.states |= self._note(explain(run))
            if run.limit:
                done.limit = run.limit
                break
        return done

    def forget(self) -> None:
        """The scrape is finished: the next one asks anew. Which files came stays known."""
        self._journal.unlink(missing_ok=True)

    def _ask(self, batch: Sequence[Request], deadline: float, bytes_left: float) -> Run:
        self._failed.unlink(missing_ok=True)
        _write(self._requests, "".join(f"{request.url}\n" for request in batch))
        settings = settings_of(self.scrape, self.folder, self.state, self.token)
        return run_program(self.program, settings, self._requests, self.state, self.say, deadline, bytes_left)

    def _asked_before(self) -> dict[str, tuple[State, str | None]]:
        """What the journal says, and the batch that a killed run was at."""
        self._note("the run was killed while it asked for this")
        found: dict[str, tuple[State, str | None]] = {}
        for line in _lines(self._journal):
            try:
                url, state, detail = json.loads(line)
            except ValueError:  # the last line of a run that was killed
                continue
            found[url] = (state, detail)
        return found

    def _note(self, detail: str, *, failures: bool = True) -> Mapping[str, tuple[State, str | None]]:
        """Write down what the present batch asked for, and forget the batch. What is not written is asked again."""
        failed = {line.removeprefix("# ") for line in _lines(self._failed)}
        asked = [line[2:] for line in _lines(self._requests) if line.startswith("# ")]
        found: dict[str, tuple[State, str | None]] = {
            url: ("failed", detail) if url in failed else ("done", None)
            for url in asked
            if failures or url not in failed
        }
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.writelines(json.dumps([url, *outcome]) + "\n" for url, outcome in found.items())
            journal.flush()
            os.fsync(journal.fileno())
        self._requests.unlink(missing_ok=True)
        return found

    @property
    def _journal(self) -> Path:
        return self.state / "asked.jsonl"

    @property
    def _requests(self) -> Path:
        return self.state / "requests.txt"

    @property
    def _failed(self) -> Path:
        return self.state / "failed.txt"


def _batches(requests: Sequence[Request]) -> Iterable[Sequence[Request]]:
    return (requests[start : start + REQUESTS_PER_RUN] for start in range(0, len(requests), REQUESTS_PER_RUN))


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines() if file.is_file() else []


def _write(file: Path, text: str) -> None:
    fresh = file.with_suffix(".fresh")
    fresh.write_text(text, "utf-8")
    os.replace(fresh, file)
