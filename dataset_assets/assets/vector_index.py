"""The index that answers searches by text and by likeness: one file of vectors for each year of a source and model."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.domain.vector_tables import CLIP, PUBLISHED, VECTOR_INDEX
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.storage.durable import scratch_file
from dataset_assets.storage.index_files import IndexFiles
from dataset_assets.storage.tables import Cell, Staged

if TYPE_CHECKING:
    import numpy as np

VECTOR_INDEX_VERSION = "2"
ROWS_AT_ONCE = 50_000


def vector_index_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset `vector_index`."""
    kinds = {"numpy", "parquet"}
    return graph.asset(
        vector_index,
        VECTOR_INDEX,
        group="annotations",
        kinds=kinds,
        version=VECTOR_INDEX_VERSION,
        deps=[CLIP, PUBLISHED],
    )


def vector_index(context: dg.AssetExecutionContext, dataset: Dataset) -> dg.MaterializeResult[Staged]:
    """Where the vectors of images lie, near ones together: one row per index file, of the vectors of one model.

    The file lies below the root and is read through a memory map. It is made of this year of this source alone, so a
    changed year makes its own anew and no other. A file that a newer one replaced stays until it is removed.
    """
    cell = cell_of(context)
    rows = [row for name in (CLIP, PUBLISHED) for row in _index_of(dataset, name, cell)]
    staged = dataset.tables.stage(VECTOR_INDEX, cell, VECTOR_INDEX.frame(rows))
    counts = {f"vectors of {row['of']}": row["vectors"] for row in rows}
    return dataset.result(context, staged, {**counts, "index_bytes": sum(int(str(row["size"])) for row in rows)})


def _index_of(dataset: Dataset, name: str, cell: Cell) -> Iterator[dict[str, object]]:
    """The index of one table's vectors, if it has any."""
    from dataset_assets.domain.vector_index import pieces

    tables, commit = dataset.tables, dataset.tables.commit_of(name, cell)
    if commit is None:
        return
    scan = pl.scan_parquet(tables.file(name, cell), hive_partitioning=False)
    of = scan.select("model", recipe="recipe" if name == CLIP else pl.lit(None, pl.String))
    marks = of.filter(pl.col("model").is_not_null()).head(1).collect()
    with scratch_file(tables.scratch, ".vectors") as file:
        vectors, rows = copied(scan, file)
        if not len(vectors):
            return
        written = IndexFiles(dataset.config.root_path).write(
            f"{VECTOR_INDEX.name}/{name}/{cell.source}/{cell.year}", pieces(vectors, rows)
        )
    yield {
        "of": name,
        "path": written.path,
        "sha256": written.sha256,
        "size": written.bytes,
        "vectors": len(vectors),
        "dimensions": vectors.shape[1],
        **(marks.row(0, named=True) if marks.height else {}),
        "made_from": commit.sha256,
    }


def copied(scan: pl.LazyFrame, file: Path) -> "tuple[np.ndarray, np.ndarray]":
    """The vectors of a table in a file, mapped, and their rows: a year can have more than memory holds."""
    import numpy as np

    embedding = scan.collect_schema()["embedding"]
    assert isinstance(embedding, pl.Array)
    batches = scan.select("embedding").with_row_index("row").filter(pl.col("embedding").is_not_null())
    rows: list[np.ndarray] = [np.empty(0, np.uint32)]
    with file.open("wb") as stream:
        for batch in batches.collect_batches(chunk_size=ROWS_AT_ONCE, maintain_order=True):
            stream.write(np.ascontiguousarray(batch.get_column("embedding").to_numpy(), "<f2").tobytes())
            rows.append(batch.get_column("row").to_numpy().astype(np.uint32))
    found = np.concatenate(rows)
    if not len(found):
        return np.empty((0, embedding.size), np.float16), found
    return np.memmap(file, "<f2", mode="r", shape=(len(found), embedding.size)), found
