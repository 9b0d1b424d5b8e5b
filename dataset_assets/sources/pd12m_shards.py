"""PD12M's shards as one sorted Parquet file: columns of three layouts, repeated ids dropped, sorted on disk."""

import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import polars as pl

from dataset_assets.domain.schemas import REJECTED_RECORDS
from dataset_assets.sources import DamagedExport
from dataset_assets.sources.local_files import names_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Layout = tuple[tuple[str, str], ...]  # a shard's columns, each with DuckDB's type

# Each published column: its SQL type in the snapshot, and its names from the newest layout to the oldest.
COLUMNS = {
    "id": ("VARCHAR", ("id",)),
    "url": ("VARCHAR", ("url",)),
    "caption": ("VARCHAR", ("caption",)),
    "width": ("INTEGER", ("width",)),
    "height": ("INTEGER", ("height",)),
    "mime_type": ("VARCHAR", ("mime_type",)),
    "hash": ("VARCHAR", ("hash", "md5_hash")),
    "license": ("VARCHAR", ("license", "license_type")),
    "source": ("VARCHAR", ("source",)),
    "s3_key": ("VARCHAR", ("s3_key",)),
}
NOT_IN_EVERY_LAYOUT = frozenset(("source", "s3_key"))
SHARD_NUMBER = re.compile(r"^(.*?)(\d{1,9})\.parquet$", re.DOTALL)

MAX_READERS = 2  # each holds a row group, and that may be a whole shard of a million rows
MEMORY = "1500MB"  # of DuckDB; what is more waits in files beside the snapshot
SECONDS_BETWEEN_REPORTS = 5.0
ROWS_PER_BATCH = 65_536

_UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_LICENSE = r"^https?://(www\.)?creativecommons\.org/publicdomain/(zero|mark)/1\.0(/(deed(\.\w+)?|legalcode)?)?$"
_LICENSE_NAME = f"""
    CASE regexp_extract(lower(trim(license)), '{_LICENSE}', 2)
        WHEN 'zero' THEN 'cc0_1_0' WHEN 'mark' THEN 'pdm_1_0' ELSE 'unknown' END
"""


def write_snapshot(
    name: str, collected: int, files: Sequence[Path], into: Path, say: Callable[[str], None]
) -> tuple[int, pl.DataFrame]:
    """Read the shards into the Parquet file `into`, sorted by image id; of rows with one id the first by file counts.

    Every shard is read whole before anything is written, so that a damaged one is named.
    Returns: the number of records, and the rows of `rejected_records`.
    Raises: DamagedExport when a shard is damaged or has no ids, or there is none; then `into` is as it was.
    """
    import duckdb

    if not files:
        raise DamagedExport(f"{name}: no shard is there; see `metadata`")
    threads = min(os.cpu_count() or 1, MAX_READERS)
    with TemporaryDirectory(prefix=f"{into.stem}-", dir=into.parent) as scratch:
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": threads,
            "memory_limit": MEMORY,
            "temp_directory": f"{scratch}/duckdb",
        }
        with duckdb.connect(":memory:", config=config) as connection:
            reading = _Reading(name, files, connection, say)
            reading.check_all()
            reading.reject_repeated()
            records = reading.write(Path(scratch) / "snapshot.parquet", collected)
            rejected = pl.concat([reading.rejected(), missing_shards(list(names_of(files).values()))])
        (Path(scratch) / "snapshot.parquet").replace(into)
    say(f"{name}: {records:,} records, {rejected.height:,} rows or shards rejected")
    return records, rejected.sort(REJECTED_RECORDS.sorted_by, nulls_last=True)


def missing_shards(names: Sequence[str]) -> pl.DataFrame:
    """A row of `rejected_records` for each numbering that has gaps; numbers begin at 0."""
    numbers: dict[tuple[str, int], set[int]] = defaultdict(set)
    for name in names:
        if found := SHARD_NUMBER.match(name):
            numbers[found[1], len(found[2])].add(int(found[2]))
    rows: list[dict[str, object]] = []
    for (prefix, width), present in sorted(numbers.items()):
        if gaps := list(_gaps(sorted(present))):
            shown = ", ".join(
                f"{first:0{width}}" if first == last else f"{first:0{width}} to {last:0{width}}" for first, last in gaps
            )
            detail = f"missing shards: {shown}; expected each from 0 to {max(present):0{width}}"
            file = f"{prefix}{'N' * width}.parquet"
            rows.append({"file": file, "reason": "unreadable_file", "detail": detail[:500]})
    return REJECTED_RECORDS.frame(rows)


def _gaps(present: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of numbers below the highest that are not there."""
    for before, after in zip([-1, *present], present, strict=False):
        if after > before + 1:
            yield before + 1, after - 1


@dataclass
class _Reading:
    """Shards on their way through DuckDB. They go by their number in `files`, rows count from 0."""

    name: str
    files: Sequence[Path]
    connection: "DuckDBPyConnection"
    say: Callable[[str], None]
    _layouts: dict[Layout, list[Path]] = field(default_factory=dict)  # shards of one layout are read as one table
    _rows: int = 0
    _reported: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.connection.execute("""
            SET enable_progress_bar = true;
            SET enable_progress_bar_print = false;
            SET autoinstall_known_extensions = false;
            CREATE TABLE files (file INTEGER, path VARCHAR, name VARCHAR, shard_number INTEGER);
            CREATE TABLE ids (file INTEGER, row BIGINT, id UUID);
            CREATE TABLE dropped (file INTEGER, row BIGINT);
            CREATE TABLE rejected (file INTEGER, row BIGINT, reason VARCHAR, detail VARCHAR, content VARCHAR)
        """)

    def check_all(self) -> None:
        """Read every shard whole: note its ids, and reject rows without one."""
        names = names_of(self.files)
        for number, file in enumerate(self.files):
            found = SHARD_NUMBER.match(names[file])
            described = [number, str(file), names[file], int(found[2]) if found else None]
            self.connection.execute("INSERT INTO files VALUES (?, ?, ?, ?)", described)
            self._rows += self._check(number, file)
            self._report(f"{self._rows:,} rows read, {number + 1} of {len(self.files)} shards")

    def _check(self, number: int, file: Path) -> int:
        import duckdb

        with file.open("rb"):  # a file that cannot be opened is no damage, and raises its own error
            pass
        try:
            layout = self._layout(file)
            self._layouts.setdefault(layout, []).append(file)
            # A hash of all columns is asked for, so that all are decoded: nothing else finds damage.
            self.connection.execute(
                f"""
                CREATE OR REPLACE TEMP TABLE read_ids AS
                SELECT row, published.id, is_uuid, if(is_uuid, NULL, url) AS url, hash(published) AS of_all
                FROM (SELECT *, coalesce(regexp_full_match(id, $uuid), false) AS is_uuid
                    FROM ({_select(layout, "paths")})) published
                """,  # noqa: S608 - our own names
                {"paths": [_literal(file)], "uuid": _UUID},
            )
        except (duckdb.OutOfMemoryException, duckdb.InterruptException):
            raise
        except duckdb.Error as error:
            raise DamagedExport(f"{file}: not a whole Parquet file: {_first_line(error)}; fetch it again") from error
        self.connection.execute(
            "INSERT INTO ids SELECT $file, row, id::UUID FROM read_ids WHERE is_uuid", {"file": number}
        )
        self.connection.execute(
            """
            INSERT INTO rejected
            SELECT $file, row, if(id IS NULL, 'no_id', 'bad_id'), if(id IS NULL, 'the id is null', 'the id is no UUID'),
                to_json({'id': id, 'url': url})::VARCHAR
            FROM read_ids WHERE NOT is_uuid
            """,
            {"file": number},
        )
        return int(self.connection.execute("SELECT count(*) FROM read_ids").fetchall()[0][0])

    def _layout(self, file: Path) -> Layout:
        """The shard's columns, with their types. Raises: DamagedExport when there is no `id` among them."""
        described = self.connection.execute(
            "DESCRIBE SELECT * FROM read_parquet($path, hive_partitioning = false)", {"path": _literal(file)}
        ).fetchall()
        present = {name.lower() for name, *_ in described}
        if "id" not in present:
            raise DamagedExport(f"{file}: expected the columns of PD12M, such as id and url; found {sorted(present)}")
        absent = [name for name, (_, known) in COLUMNS.items() if present.isdisjoint(known)]
        if silent := [name for name in absent if name not in NOT_IN_EVERY_LAYOUT]:
            self.say(f"{self.name}: {file.name} has no column for {', '.join(silent)}; null in its rows")
        return tuple((name, kind) for name, kind, *_ in described)

    def reject_repeated(self) -> None:
        """Of the rows with one id, keep the first by file and row."""
        self.connection.execute("""
            CREATE TEMP TABLE repeated AS
            SELECT id, file, row, first_value(format('row {} of {}', row + 1, name)) OVER ordered AS kept
            FROM ids JOIN files USING (file)
            WHERE id IN (SELECT id FROM ids GROUP BY id HAVING count(*) > 1)
            WINDOW ordered AS (PARTITION BY id ORDER BY file, row)
            QUALIFY row_number() OVER ordered > 1;
            INSERT INTO dropped SELECT file, row FROM repeated UNION ALL SELECT file, row FROM rejected;
            INSERT INTO rejected
            SELECT file, row, 'duplicate_id', format('the id is already that of {}', kept), id::VARCHAR FROM repeated;
            DROP TABLE repeated; DROP TABLE ids; DROP TABLE read_ids
        """)

    def write(self, into: Path, collected: int) -> int:
        """Write the snapshot, and tell how far it is. Returns: its number of records."""
        published = " UNION ALL ".join(_select(layout, f"paths_{n}") for n, layout in enumerate(self._layouts))
        query = f"""
            COPY (
                SELECT $name || '-' || lower(id) || '-0' AS image_id, $collected::INTEGER AS year,
                    name AS record_file, row + 1 AS record_line,
                    {", ".join(COLUMNS)}, {_LICENSE_NAME} AS license_name,
                    shard_number, row AS row_in_shard
                FROM ({published}) JOIN files USING (path) ANTI JOIN dropped USING (file, row)
                ORDER BY image_id
            ) TO $into (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 65536)
        """  # noqa: S608 - our own names
        paths = {f"paths_{n}": [_literal(file) for file in files] for n, files in enumerate(self._layouts.values())}
        values = {"name": self.name, "collected": collected, "into": str(into)} | paths
        with ThreadPoolExecutor(1) as pool:
            copying = pool.submit(lambda: self.connection.execute(query, values).fetchall())
            try:
                while wait([copying], SECONDS_BETWEEN_REPORTS).not_done:
                    self._report(f"sorting and writing, {max(self.connection.query_progress(), 0):.0f} % done")
            finally:
                self.connection.interrupt()
        records = int(copying.result()[0][0])
        rejected = self.connection.execute("SELECT count(*) FROM rejected").fetchall()[0][0]
        if records + rejected != self._rows:
            raise RuntimeError(
                f"{self.name}: {self._rows:,} rows were read, but {records:,} written and {rejected:,} rejected: "
                "a shard was changed meanwhile; read it again"
            )
        return records

    def _report(self, progress: str) -> None:
        if (now := time.monotonic()) - self._reported >= SECONDS_BETWEEN_REPORTS:
            self._reported = now
            self.say(f"{self.name}: {progress}")

    def rejected(self) -> pl.DataFrame:
        self.connection.execute("""
            SELECT name, row + 1, reason, left(detail, 500), replace(left(content, 200), chr(0), chr(65533))
            FROM rejected JOIN files USING (file)
        """)
        batches = [REJECTED_RECORDS.empty()]
        while rows := self.connection.fetchmany(ROWS_PER_BATCH):
            batches.append(pl.DataFrame(rows, schema=REJECTED_RECORDS.schema, orient="row"))
        return pl.concat(batches)


def _select(layout: Layout, paths: str) -> str:
    """Rows of shards of one layout as SQL: path, row and the published columns; `paths` is the parameter's name."""
    present = {name.lower() for name, _ in layout}
    columns = []
    for name, (kind, names) in COLUMNS.items():
        published = next((f'"{known}"' for known in names if known in present), "NULL")
        columns.append(f"TRY_CAST({published} AS {kind}) AS {name}")
    return f"""
        SELECT shard_path AS path, file_row_number AS row, {", ".join(columns)}
        FROM read_parquet(
            ${paths}, filename = 'shard_path', file_row_number = true, hive_partitioning = false,
            binary_as_string = true
        )
    """  # noqa: S608 - our own names


def _literal(file: Path) -> str:
    """A path as DuckDB's readers take it: without this, `*`, `?` and `[` would be wildcards."""
    return re.sub(r"([*?\[])", r"[\1]", str(file))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
