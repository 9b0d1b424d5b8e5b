"""What a scrape asks for: addresses, ids of Pixiv and its tag searches, each with what became of it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

import polars as pl

from dataset_assets.config import GalleryDlSource
from dataset_assets.domain.schemas import Column, Table

State = Literal["done", "failed", "pending"]
PIXIV = "https://www.pixiv.net"
MAX_LINE_BYTES = 100

SCRAPE = Table(
    "scrape",
    "thing that a source's scrape asks for",
    (
        Column("request", pl.String, "the address that gallery-dl is given"),
        Column("kind", pl.String, "work, search or url"),
        Column("asked_as", pl.String, "the id, the words or the address, as dataset.yaml or a list of it says"),
        Column("state", pl.String, "done, failed (asked for, and not all came) or pending (not asked for yet)"),
        Column("detail", pl.String, "what gallery-dl said; null = nothing"),
    ),
    sorted_by=("request",),
)


class Request(NamedTuple):
    """One thing to ask for."""

    url: str
    kind: Literal["work", "search", "url"]
    asked_as: str


def requests_of(source: GalleryDlSource) -> list[Request]:
    """All that the source's `scrape` asks for, each once, in the order of dataset.yaml.

    Raises: ValueError when a list of ids holds what is no id; OSError when it cannot be read.
    """
    if source.scrape is None:
        return []
    found = [Request(url, "url", url) for url in source.scrape.urls]
    found += [
        Request(f"{PIXIV}/tags/{quote(words, safe='')}/artworks", "search", words) for words in source.scrape.searches
    ]
    for file in source.files(source.scrape.works):
        found += [Request(f"{PIXIV}/artworks/{work}", "work", work) for work in _ids(file)]
    return list({request.url: request for request in found}.values())


def _ids(file: Path) -> Iterator[str]:
    with file.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE_BYTES), b""), 1):
            text = line.split(b"#", 1)[0].strip()
            if text and not re.fullmatch(rb"[1-9][0-9]{0,18}", text):
                raise ValueError(f"{file}:{number}: {text[:40]!a} is no id; write one id a line, # begins a remark")
            if text:
                yield text.decode()


def still_to_ask(requests: Iterable[Request], before: Mapping[str, State]) -> list[Request]:
    """The requests of a new scrape: a work that came needs no second look, a search or another page may have grown."""
    return [request for request in requests if request.kind != "work" or before.get(request.url) != "done"]


def outcome_rows(requests: Iterable[Request], states: Mapping[str, tuple[State, str | None]]) -> pl.DataFrame:
    """Rows of SCRAPE."""
    rows: list[dict[str, object]] = []
    for url, kind, asked_as in requests:
        state, detail = states.get(url, ("pending", None))
        rows.append({"request": url, "kind": kind, "asked_as": asked_as, "state": state, "detail": detail})
    return SCRAPE.frame(rows).sort("request")
