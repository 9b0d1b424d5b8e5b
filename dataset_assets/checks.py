"""What must hold of a table before anything is built on it."""

from collections.abc import Callable

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.domain.schemas import TABLES, SchemaMismatch, Table, require_schema, subset
from dataset_assets.domain.states import REASONS
from dataset_assets.resources import Dataset, cell_of

UNIT_LENGTH_TOLERANCE = 2e-3  # float16 keeps 11 bits: a unit vector of 768 numbers is off by less
SHOWN = 5

Verdict = tuple[bool, dict[str, int | str]]
Rows = Callable[[str], pl.LazyFrame]


def checks(graph: Graph) -> list[dg.AssetChecksDefinition]:
    """All checks of the graph, each for one partition at a time."""
    per_image = ["image_metadata", "raw_images", "image_facts", "training_images", "clip_embeddings"]
    subsets = [f"subset/{name}" for name in graph.config.subsets]
    by_cell = {name: table for name, table in TABLES.items() if name != "rejected_records"}
    by_cell |= {f"subset/{name}": subset(name) for name in graph.config.subsets}
    return [
        *(_check(graph, name, has_one_row_per_image, of=name) for name in [*per_image, *subsets]),
        *(_check(graph, name, matches_schema, table=table) for name, table in by_cell.items()),
        _check(graph, "tag_metadata", has_each_tag_of_an_image_once, of="tag_metadata"),
        _check(graph, "tag_metadata", has_no_tag_without_its_image),
        _check(graph, "raw_images", has_every_listed_image_in_one_state),
        _check(graph, "image_facts", has_a_row_for_every_stored_image, of="image_facts"),
        _check(graph, "training_images", has_a_row_for_every_stored_image, of="training_images"),
        _check(graph, "clip_embeddings", has_a_row_for_every_training_image),
        _check(graph, "clip_embeddings", has_finite_vectors_of_unit_length),
        *(_check(graph, name, has_a_row_for_every_candidate, of=name) for name in subsets),
    ]


def _check(graph: Graph, asset: str, verdict: Callable[..., Verdict], **arguments: object) -> dg.AssetChecksDefinition:
    def run(context: dg.AssetCheckExecutionContext, dataset: Dataset) -> dg.AssetCheckResult:
        cell = cell_of(context)

        def rows(name: str) -> pl.LazyFrame:
            return pl.scan_parquet(dataset.tables.file(name, cell), hive_partitioning=False)

        passed, found = verdict(rows, **arguments)
        return dg.AssetCheckResult(passed=passed, metadata=found)

    decorate = dg.asset_check(
        asset=dg.AssetKey(asset.split("/")),
        name=verdict.__name__,
        description=verdict.__doc__,
        blocking=True,
        partitions_def=graph.partitions.source_year,
    )
    return decorate(run)


def has_one_row_per_image(rows: Rows, of: str) -> Verdict:
    """No image stands in the table twice."""
    repeated = rows(of).group_by("image_id").len().filter(pl.col("len") > 1)
    return _none_of(repeated, "image_id", "images_repeated")


def has_each_tag_of_an_image_once(rows: Rows, of: str) -> Verdict:
    """No image has the same tag of the same category twice; mirrors do have artists who are named like a tag."""
    repeated = rows(of).group_by("image_id", "tag", "category").len().filter(pl.col("len") > 1)
    return _none_of(repeated, "image_id", "tags_repeated")


def has_no_tag_without_its_image(rows: Rows) -> Verdict:
    """Every tagged image is listed."""
    strangers = rows("tag_metadata").select("image_id").unique().join(rows("image_metadata"), on="image_id", how="anti")
    return _none_of(strangers, "image_id", "images_not_listed")


def has_every_listed_image_in_one_state(rows: Rows) -> Verdict:
    """Every listed image, and no other, is in one lawful state, with a reason from the closed list."""
    state, reason = pl.col("state"), pl.col("reason")
    lawful = pl.any_horizontal(
        (state == name) & (reason.is_in(reasons) if reasons else reason.is_null()) for name, reasons in REASONS.items()
    )
    raw = rows("raw_images")
    passed, found = _same_images(rows("image_metadata"), raw)
    in_order, unlawful = _none_of(raw.filter(~lawful.fill_null(False)), "image_id", "unlawful_states")
    return passed and in_order, {**found, **unlawful}


def has_a_row_for_every_stored_image(rows: Rows, of: str) -> Verdict:
    """The table has the stored images, each and no other."""
    return _same_images(rows("raw_images").filter(pl.col("state") == "stored"), rows(of))


def has_a_row_for_every_training_image(rows: Rows) -> Verdict:
    """The table has the training images that were made, each and no other."""
    return _same_images(rows("training_images").filter(pl.col("error").is_null()), rows("clip_embeddings"))


def has_a_row_for_every_candidate(rows: Rows, of: str) -> Verdict:
    """Every listed image is kept, or dropped for a reason."""
    return _same_images(rows("image_metadata"), rows(of))


def has_finite_vectors_of_unit_length(rows: Rows) -> Verdict:
    """Every embedding is finite and of length 1, so that a dot product is a cosine."""
    numbers = pl.col("embedding").arr.to_list().cast(pl.List(pl.Float32))
    length = numbers.list.eval(pl.element() ** 2).list.sum().sqrt()
    is_unit = length.is_finite() & ((length - 1).abs() <= UNIT_LENGTH_TOLERANCE)
    embedded = rows("clip_embeddings").filter(pl.col("embedding").is_not_null())
    return _none_of(embedded.filter(~is_unit), "image_id", "wrong_vectors")


def matches_schema(rows: Rows, table: Table) -> Verdict:
    """The file on disk has the declared columns, in order and type."""
    try:
        require_schema(table, rows(table.name).collect_schema())
    except SchemaMismatch as error:
        return False, {"problem": str(error)}
    return True, {}


def _same_images(expected: pl.LazyFrame, present: pl.LazyFrame) -> Verdict:
    left, right = expected.select("image_id"), present.select("image_id")
    no_missing, missing = _none_of(left.join(right, on="image_id", how="anti"), "image_id", "images_missing")
    no_extra, extra = _none_of(right.join(left, on="image_id", how="anti"), "image_id", "images_not_expected")
    counts = {"rows_expected": _count(left), "rows_present": _count(right)}
    return no_missing and no_extra, {**counts, **missing, **extra}


def _none_of(wrong: pl.LazyFrame, column: str, what: str) -> Verdict:
    """Pass when there are no such rows; otherwise say how many, and name the first."""
    first = wrong.select(column).sort(column).head(SHOWN).collect().get_column(column).to_list()
    count = _count(wrong)
    return count == 0, {what: count} | ({"examples": ", ".join(first)} if first else {})


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect().item())
