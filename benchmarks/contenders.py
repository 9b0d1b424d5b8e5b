"""Who reads the data: each contender is one process, `python -m benchmarks.contenders NAME DATA FOLDER`.

DATA is a folder of files, or an archive; what is made goes into the empty FOLDER. The last line that is written is what
was found, as JSON, so that nobody wins by losing records.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl

YEARS = range(2005, 2022)
_REBUILT_YEAR = 2012
_SNAPSHOT = "snapshot.parquet"


def sqlite(data: Path, folder: Path) -> dict[str, int]:
    """The community's loader."""
    from benchmarks.sqlite_loader import load

    return load(sorted(data.glob("*.json")), folder / "danbooru.sqlite")


def snapshot(data: Path, folder: Path) -> dict[str, int]:
    """Our reader alone: the export as `source_snapshot` and `rejected_records`."""
    return _read("danbooru", data, folder)


def tables(data: Path, folder: Path) -> dict[str, int]:
    """All that a user needs: the snapshot, and `image_metadata` and `tag_metadata` of every year, committed."""
    return _read("danbooru", data, folder) | _commit_years(folder / _SNAPSHOT, folder, YEARS)


def year(data: Path, folder: Path) -> dict[str, int]:
    """A rebuild of one year out of the snapshot DATA."""
    return _commit_years(data, folder, [_REBUILT_YEAR])


def xz(data: Path, folder: Path) -> dict[str, int]:
    """The least that reading an archive can cost: `xz -dc` to nowhere."""
    subprocess.run(["xz", "-dc", str(data)], stdout=subprocess.DEVNULL, check=True)
    return {}


def pd12m(data: Path, folder: Path) -> dict[str, int]:
    """Our reader of PD12M's shards."""
    return _read("pd12m", data, folder)


def _read(kind: str, data: Path, folder: Path) -> dict[str, int]:
    from dataset_assets.config import DatasetConfig
    from dataset_assets.sources import adapters

    pattern = str(data) if data.is_file() else str(data / ("*.parquet" if kind == "pd12m" else "posts*.json"))
    declared: dict[str, Any] = (
        {"years": "2005..2021", "images": str(folder)} if kind == "danbooru" else {"collected": 2024}
    )
    block = {"kind": kind, "metadata": pattern, "license": {"name": "-", "basis": "-"}} | declared
    config = DatasetConfig.model_validate({"sources": {kind: block}})
    report = adapters()[kind].read_snapshot(kind, config.sources[kind], folder / _SNAPSHOT, lambda line: None)
    by_reason = report.rejected.group_by("reason").len().rows()
    return {"stored": report.records} | {f"rejected:{reason}": rows for reason, rows in by_reason}


def _commit_years(file: Path, folder: Path, years: Iterable[int]) -> dict[str, int]:
    from dataset_assets.domain.schemas import IMAGE_METADATA, TAG_METADATA
    from dataset_assets.sources import danbooru
    from dataset_assets.sources.shared_tables import image_frames, tag_frames
    from dataset_assets.storage.tables import Cell, Tables

    store, rows = Tables(folder / "root"), {"images": 0, "tags": 0}
    for one in years:
        records = pl.scan_parquet(file, hive_partitioning=False).filter(pl.col("year") == one)
        for name, table, frames in (("images", IMAGE_METADATA, image_frames), ("tags", TAG_METADATA, tag_frames)):
            staged = store.stage_frames(table, Cell("danbooru", one), frames(danbooru, records))
            rows[name] += store.commit(staged, "benchmark").rows
    return rows


CONTENDERS: dict[str, Callable[[Path, Path], dict[str, int]]] = {
    one.__name__: one for one in (sqlite, snapshot, tables, year, xz, pd12m)
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(CONTENDERS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))) + "\n")
