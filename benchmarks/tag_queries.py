"""Tag queries over synthetic posts: our index against SQLite and DuckDB, in one run, with equal answers asserted.

    python -m benchmarks.tag_queries --posts 500000

Posts have about 34 of 400,000 tags, whose frequencies fall off as those of real tags do (Zipf), spread evenly over 17
years. Each query asks two tags and not a third, a rating, a score above 10 and five years, and returns the ids. Engines
take turns; times are medians.
"""

import argparse
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import polars as pl

from dataset_assets import search
from dataset_assets.config import DatasetConfig, load_config
from dataset_assets.domain.schemas import IMAGE_METADATA, TAG_INDEX, TAG_METADATA, Table
from dataset_assets.domain.tag_index_build import index_bytes
from dataset_assets.storage.index_files import IndexFiles
from dataset_assets.storage.tables import Cell, Tables

FIRST_YEAR, YEARS, VOCABULARY, TAGS_PER_POST = 2005, 17, 400_000, 34
ASKED_YEARS = (2014, 2018)
CONFIG = f"""
root: ./data
sources:
  danbooru:
    kind: danbooru
    metadata: none.json
    images: none
    years: {FIRST_YEAR}..{FIRST_YEAR + YEARS - 1}
    license: {{name: none, basis: synthetic}}
"""


class Asked(NamedTuple):
    """Posts with the first two tags, the rarer one first, and without the third."""

    rarer: int
    other: int
    unwanted: int


QUERIES = {
    "common + common": Asked(5, 0, 3),
    "common + mid": Asked(500, 1, 50),
    "mid + mid": Asked(800, 300, 2),
    "rare + common": Asked(20_000, 4, 7),
}


def main() -> None:
    """Make what is not there yet, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=500_000)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/_data/queries"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold", help="ask this query in a fresh process, and print the milliseconds")
    options = parser.parse_args()
    folder = options.folder / f"{options.posts}"
    if options.cold:
        sys.stdout.write(f"{ask_cold(folder, options.cold)}\n")
        return
    config = prepare(folder, options.posts)
    sys.stdout.write(report(folder, config, options.rounds))


def prepare(folder: Path, posts: int) -> DatasetConfig:
    """Tables, indexes and the other engines' files, below a folder; what was made before is used again."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.yaml").write_text(CONFIG, "utf-8")
    config = load_config(folder / "dataset.yaml")
    if (folder / "done").exists():
        return config
    tables, cdf = Tables(config.root_path), _zipf()
    seconds = {"tables": 0.0, "index": 0.0}
    (folder / "pairs").mkdir(exist_ok=True)
    for number in range(YEARS):
        cell = Cell("danbooru", FIRST_YEAR + number)
        first, last = posts * number // YEARS, posts * (number + 1) // YEARS
        listed, pairs = _posts(first, last, cell, cdf)
        pairs.write_parquet(folder / "pairs" / f"{cell.year}.parquet")
        listed.write_parquet(folder / "pairs" / f"{cell.year}.posts")
        began = time.process_time()
        _write(tables, cell, listed, pairs)
        seconds["tables"] += time.process_time() - began
        began = time.process_time()
        build_index(config, tables, cell)
        seconds["index"] += time.process_time() - began
        _say(f"{cell}: {listed.height:,} posts, {pairs.height:,} pairs")
    began = time.process_time()
    _sqlite(folder)
    _say(f"CPU seconds: {seconds}, SQLite {time.process_time() - began:.0f}")
    _list_column(folder)
    (folder / "done").touch()
    return config


def _zipf() -> np.ndarray:
    weights = 1 / (np.arange(VOCABULARY) + 12.0) ** 1.02
    return np.cumsum(weights / weights.sum())


def _posts(first: int, last: int, cell: Cell, cdf: np.ndarray) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Posts with ids after `first`, and their tags as numbers."""
    random = np.random.default_rng(first)
    size = last - first
    lengths = random.poisson(TAGS_PER_POST, size) + 1
    tags = np.minimum(np.searchsorted(cdf, random.random(lengths.sum())), VOCABULARY - 1)
    both = np.unique(np.repeat(np.arange(size, dtype=np.int64), lengths) * VOCABULARY + tags)
    seconds = np.sort(random.integers(0, 365 * 86_400, size)) + int(
        datetime(cell.year or 0, 1, 1, tzinfo=UTC).timestamp()
    )
    listed = pl.DataFrame(
        {
            "id": np.arange(first + 1, last + 1),
            "rating": random.choice(["general", "questionable", "explicit"], size, p=[0.75, 0.15, 0.1]),
            "score": (random.geometric(0.08, size) - 3).astype(np.int32),
            "width": random.integers(300, 4000, size).astype(np.int32),
            "height": random.integers(300, 4000, size).astype(np.int32),
            "created_at": seconds * 1_000_000,
        }
    ).with_columns(pl.col("created_at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"), year=pl.lit(cell.year))
    pairs = pl.DataFrame({"tag": (both % VOCABULARY).astype(np.int32), "id": both // VOCABULARY + first + 1})
    return listed, pairs


def _write(tables: Tables, cell: Cell, listed: pl.DataFrame, pairs: pl.DataFrame) -> None:
    named = pl.format("danbooru-{}-0", "id")
    images = listed.with_columns(image_id=named, post_id=pl.col("id").cast(pl.String), file_ext=pl.lit("jpg"))
    _commit(tables, IMAGE_METADATA, cell, images)
    tag = pl.format("tag_{}", pl.col("tag").cast(pl.String).str.zfill(6))
    tags = pairs.select(tag=tag, image_id=named, category=pl.lit("general"), origin=pl.lit("source"))
    _commit(tables, TAG_METADATA, cell, tags)


def _commit(tables: Tables, table: Table, cell: Cell, rows: pl.DataFrame) -> None:
    missing = {name: pl.lit(None, dtype) for name, dtype in table.schema.items() if name not in rows.columns}
    full = rows.with_columns(**missing).select(pl.col(name).cast(dtype) for name, dtype in table.schema.items())
    tables.commit(tables.stage(table, cell, full), run_id="benchmark")


def build_index(config: DatasetConfig, tables: Tables, cell: Cell) -> None:
    """What the asset `tag_index` does, without Dagster."""
    images, tags = tables.scan(IMAGE_METADATA, cell), tables.scan(TAG_METADATA, cell)
    written = IndexFiles(config.root_path).write(f"tag_index/{cell.source}/{cell.year}", index_bytes(images, tags))
    commits = {table.name: tables.commit_of(table.name, cell) for table in (IMAGE_METADATA, TAG_METADATA)}
    row: dict[str, object] = {name: commit and commit.sha256 for name, commit in commits.items()}
    row |= {"path": written.path, "sha256": written.sha256, "size": written.bytes}
    row |= {"images": images.select(pl.len()).collect().item(), "pairs": tags.select(pl.len()).collect().item()}
    tables.commit(tables.stage(TAG_INDEX, cell, TAG_INDEX.frame([row])), run_id="benchmark")


def _sqlite(folder: Path) -> None:
    """Posts by id, and pairs covering by tag and id, filled in their order."""
    (folder / "posts.sqlite").unlink(missing_ok=True)
    with duckdb.connect() as duck, sqlite3.connect(folder / "posts.sqlite", isolation_level=None) as lite:
        duck.execute(f"SET memory_limit = '2GB'; SET temp_directory = '{folder / 'spill'}'; SET threads = 2")
        lite.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE posts (id INTEGER PRIMARY KEY, rating TEXT, score INTEGER, year INTEGER);"
            "CREATE TABLE tags (tag INTEGER, id INTEGER, PRIMARY KEY (tag, id)) WITHOUT ROWID"
        )
        lite.execute("BEGIN")
        posts = f"SELECT id, rating, score, year FROM read_parquet('{folder}/pairs/*.posts') ORDER BY id"  # noqa: S608
        pairs = f"SELECT tag, id FROM read_parquet('{folder}/pairs/*.parquet') ORDER BY tag, id"  # noqa: S608
        lite.executemany("INSERT INTO posts VALUES (?, ?, ?, ?)", _rows(duck.execute(posts)))
        lite.executemany("INSERT INTO tags VALUES (?, ?)", _rows(duck.execute(pairs)))
        lite.execute("COMMIT")
        lite.execute("ANALYZE")


def _rows(answer: duckdb.DuckDBPyConnection) -> Iterator[tuple[object, ...]]:
    while rows := answer.fetchmany(100_000):
        yield from rows


def _list_column(folder: Path) -> None:
    """One row per post with a list of its tags, as datasets are usually published."""
    frames = []
    for number in range(YEARS):
        pairs = pl.read_parquet(folder / "pairs" / f"{FIRST_YEAR + number}.parquet")
        posts = pl.read_parquet(
            folder / "pairs" / f"{FIRST_YEAR + number}.posts", columns=["id", "rating", "score", "year"]
        )
        lists = pairs.group_by("id", maintain_order=True).agg(pl.col("tag").alias("tags"))
        file = folder / f"lists-{FIRST_YEAR + number}.parquet"
        posts.join(lists, on="id", how="left", maintain_order="left").write_parquet(file, row_group_size=125_000)
        frames.append(file)


def text_of(asked: Asked) -> str:
    """The query in Danbooru's syntax."""
    wanted = f"tag_{asked.rarer:06} tag_{asked.other:06} -tag_{asked.unwanted:06}"
    return f"{wanted} rating:general score:>10 date:{ASKED_YEARS[0]}..{ASKED_YEARS[1]}"


def _ids_by_sqlite(lite: sqlite3.Connection, asked: Asked) -> int:
    # CROSS JOIN keeps the order of the tables: from the rarer tag on.
    query = (
        "SELECT a.id FROM tags a CROSS JOIN tags b ON b.tag = ? AND b.id = a.id CROSS JOIN posts p ON p.id = a.id "
        "WHERE a.tag = ? AND p.rating = 'general' AND p.score > 10 AND p.year BETWEEN ? AND ? "
        "AND NOT EXISTS (SELECT 1 FROM tags c WHERE c.tag = ? AND c.id = a.id)"
    )
    return len(lite.execute(query, (asked.other, asked.rarer, *ASKED_YEARS, asked.unwanted)).fetchall())


def _ids_by_lists(duck: duckdb.DuckDBPyConnection, folder: Path, asked: Asked) -> int:
    query = (
        f"SELECT id FROM read_parquet('{folder}/lists-*.parquet') WHERE rating = 'general' AND score > 10 "  # noqa: S608
        "AND year BETWEEN ? AND ? AND list_has_all(tags, [?, ?]) AND NOT list_contains(tags, ?)"
    )
    return len(duck.execute(query, [*ASKED_YEARS, asked.rarer, asked.other, asked.unwanted]).fetchnumpy()["id"])


def report(folder: Path, config: DatasetConfig, rounds: int) -> str:
    """A Markdown table: for each query, milliseconds of each engine."""
    lite, duck = sqlite3.connect(folder / "posts.sqlite"), duckdb.connect()
    lite.execute("PRAGMA mmap_size = 8000000000")
    duck.execute("SET threads = 2")
    lines = [
        "| query | images | index, ids | index, count | index, first query | SQLite covering | DuckDB list column |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, asked in QUERIES.items():
        engines: dict[str, Callable[[], int]] = {
            "ids": lambda asked=asked: len(search.find(config, text_of(asked)).image_ids()),  # type: ignore[misc]
            "count": lambda asked=asked: search.count(config, text_of(asked)),  # type: ignore[misc]
            "sqlite": lambda asked=asked: _ids_by_sqlite(lite, asked),  # type: ignore[misc]
            "lists": lambda asked=asked: _ids_by_lists(duck, folder, asked),  # type: ignore[misc]
        }
        counts = {engine: ask() for engine, ask in engines.items()}
        assert len(set(counts.values())) == 1, f"{name}: {counts}"
        assert not search.find(config, text_of(asked)).notes
        times = _medians(engines, rounds)
        cold = statistics.median(_cold_milliseconds(folder, name) for _ in range(3))
        ours = times["ids"]
        lines.append(
            f"| {name} | {counts['ids']:,} | {ours:.1f} ms | {times['count']:.1f} ms | {cold:.0f} ms "
            f"| {times['sqlite']:.1f} ms ({times['sqlite'] / ours:.1f}x) "
            f"| {times['lists']:.0f} ms ({times['lists'] / ours:.0f}x) |"
        )
    sizes = {
        "indexes": _bytes(config.root_path / "indexes"),
        "tag_metadata": _bytes(config.root_path / "tables" / "tag_metadata"),
        "SQLite": (folder / "posts.sqlite").stat().st_size,
        "list column": sum(file.stat().st_size for file in folder.glob("lists-*")),
    }
    lines.append("\n" + ", ".join(f"{name} {size / 1e6:,.0f} MB" for name, size in sizes.items()))
    return "\n".join(lines) + "\n"


def _medians(engines: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, ask in engines.items():
            began = time.perf_counter()
            ask()
            times[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(found) for name, found in times.items()}


def _cold_milliseconds(folder: Path, name: str) -> float:
    options = ["--posts", folder.name, "--folder", str(folder.parent), "--cold", name]
    command = [sys.executable, "-m", "benchmarks.tag_queries", *options]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def ask_cold(folder: Path, name: str) -> float:
    """Milliseconds from the settings to the ids, in a process that has the libraries but opened no index."""
    began = time.perf_counter()
    search.find(load_config(folder / "dataset.yaml"), text_of(QUERIES[name])).image_ids()
    return 1000 * (time.perf_counter() - began)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
