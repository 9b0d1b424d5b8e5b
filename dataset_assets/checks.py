"""What must hold of a table before anything is built on it."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.release_checks import release_checks
from dataset_assets.config import GalleryDlSource, Pd12mSource, Source
from dataset_assets.domain.annotations import CAPTIONS, PUBLISHED_EMBEDDINGS, PUBLISHED_TAGS
from dataset_assets.domain.blocked import REASON as TAKEN_DOWN
from dataset_assets.domain.collection_window import is_outside, window_in_name
from dataset_assets.domain.duplicate_tables import NEAR_DUPLICATES, PICTURE_HASHES
from dataset_assets.domain.embedding_agreement import EMBEDDING_AGREEMENT, SAME_MODEL_COSINE
from dataset_assets.domain.families import FAMILIES
from dataset_assets.domain.image_scores import IMAGE_SCORES
from dataset_assets.domain.metadata_doubts import METADATA_DOUBTS
from dataset_assets.domain.model_captions import MODEL_CAPTIONS
from dataset_assets.domain.optimized_images import OPTIMIZED_IMAGES
from dataset_assets.domain.pixiv_works import PIXIV_WORKS
from dataset_assets.domain.predicted_tags import PREDICTED_TAGS
from dataset_assets.domain.schemas import TABLES, SchemaMismatch, Table, require_schema, subset
from dataset_assets.domain.states import KEPT_REASONS, REASONS
from dataset_assets.domain.tag_decisions import TAG_DECISIONS, UNREADABLE
from dataset_assets.domain.tag_disagreements import TAG_DISAGREEMENTS
from dataset_assets.domain.takedowns import TAKEDOWNS
from dataset_assets.domain.vector_tables import VECTOR_INDEX
from dataset_assets.resources import Dataset, cell_of
from dataset_assets.sources.danbooru_side_tables import ARTIST_COMMENTARIES, NOTES, POOLS

UNIT_LENGTH_TOLERANCE = 2e-3  # float16 keeps 11 bits: a unit vector of 768 numbers is off by less
SHOWN = 5
SAME_FILE_IMAGES = 20  # a picture of so many posts is no picture of any of them
ROWS_AT_A_TIME = 1_000_000
PUBLISHED = {table.name: table for table in (CAPTIONS, PUBLISHED_TAGS, PUBLISHED_EMBEDDINGS)}
OF_SOURCES = {
    table.name: table
    for table in (PIXIV_WORKS, FAMILIES, POOLS, ARTIST_COMMENTARIES, NOTES, METADATA_DOUBTS, PICTURE_HASHES)
}
ACROSS_SOURCES = {NEAR_DUPLICATES.name: NEAR_DUPLICATES}

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
        *(_check(graph, name, matches_schema, table=table) for name, table in OF_SOURCES.items()),
        _check(graph, "pixiv_works", has_one_row_per_image, of="pixiv_works"),
        _check(graph, "families", has_one_row_per_image, of="families"),
        _check(graph, "picture_hashes", has_one_row_per_image, of="picture_hashes"),
        _check(graph, "near_duplicates", matches_schema, table=NEAR_DUPLICATES),
        _check(graph, "near_duplicates", has_one_row_per_image, of="near_duplicates"),
        _check(graph, "near_duplicates", has_every_duplicate_beside_its_leader, **_most_apart(graph)),
        _check(graph, "families", has_every_child_below_its_parent),
        _check(graph, "pools", has_one_post_at_each_place),
        *(_advice(graph, name, has_no_line_that_could_not_be_read, graph.partitions.source) for name in _dumps(graph)),
        _check(graph, "tag_metadata", has_each_tag_of_an_image_once, of="tag_metadata"),
        _check(graph, "tag_metadata", has_no_tag_without_its_image),
        *(_check(graph, name, has_no_row_without_its_image, of=name) for name in PUBLISHED),
        _check(graph, "captions", has_each_origin_of_an_image_once),
        _check(graph, "published_embeddings", has_one_row_per_image, of="published_embeddings"),
        *(_check(graph, table.name, matches_schema, table=table) for table in PUBLISHED.values()),
        _advice(graph, "source_snapshot", has_as_many_records_as_its_publisher_says, graph.partitions.source),
        _advice(graph, "image_metadata", is_of_the_days_that_were_scraped, graph.partitions.source_year),
        _check(graph, "raw_images", has_every_listed_image_in_one_state),
        _advice(graph, "raw_images", has_no_picture_under_many_names, graph.partitions.source_year),
        _check(graph, "image_facts", has_a_row_for_every_stored_image, of="image_facts"),
        _check(graph, "training_images", has_a_row_for_every_stored_image, of="training_images"),
        _check(graph, "optimized_images", matches_schema, table=OPTIMIZED_IMAGES),
        _check(graph, "optimized_images", has_one_row_per_image, of="optimized_images"),
        _check(graph, "optimized_images", has_a_row_for_every_stored_image, of="optimized_images"),
        _check(graph, "optimized_images", has_the_pixels_of_its_original),
        _check(graph, "optimized_images", is_never_larger_than_its_original),
        _check(graph, "clip_embeddings", has_a_row_for_every_training_image, of="clip_embeddings"),
        _check(graph, "clip_embeddings", has_finite_vectors_of_unit_length),
        _check(graph, VECTOR_INDEX.name, matches_schema, table=VECTOR_INDEX),
        *(_tagger_checks(graph) if graph.config.tagger else []),
        _check(graph, "tag_decisions", matches_schema, table=TAG_DECISIONS),
        _advice(graph, "tag_decisions", has_no_line_that_is_no_decision, graph.partitions.source_year),
        _check(graph, TAKEDOWNS.name, matches_schema, table=TAKEDOWNS),
        _check(graph, TAKEDOWNS.name, has_one_row_per_image, of=TAKEDOWNS.name),
        _check(graph, "raw_images", has_no_image_that_was_taken_down),
        *(_score_checks(graph) if graph.config.image_scores else []),
        *(_checks_of_model_captions(graph) if graph.config.captioner else []),
        *(_checks_of_agreement(graph) if any(_publishes_vectors(s) for s in graph.config.sources.values()) else []),
        *(_check(graph, name, has_a_row_for_every_candidate, of=name) for name in subsets),
        *release_checks(graph),
    ]


def _score_checks(graph: Graph) -> list[dg.AssetChecksDefinition]:
    return [
        _check(graph, "image_scores", matches_schema, table=IMAGE_SCORES),
        _check(graph, "image_scores", has_one_row_per_image, of="image_scores"),
        _check(graph, "image_scores", has_a_score_for_every_vector),
    ]


def _tagger_checks(graph: Graph) -> list[dg.AssetChecksDefinition]:
    return [
        _check(graph, "predicted_tags", matches_schema, table=PREDICTED_TAGS),
        _check(graph, "predicted_tags", has_one_row_per_image, of="predicted_tags"),
        _check(graph, "predicted_tags", has_a_tagged_row_for_every_training_image),
        _check(graph, "predicted_tags", has_scores_of_0_to_1),
        _check(graph, "tag_disagreements", matches_schema, table=TAG_DISAGREEMENTS),
        _check(graph, "tag_disagreements", has_each_disagreement_once),
    ]


def _check(graph: Graph, asset: str, verdict: Callable[..., Verdict], **arguments: object) -> dg.AssetChecksDefinition:
    def run(context: dg.AssetCheckExecutionContext, dataset: Dataset) -> dg.AssetCheckResult:
        cell = cell_of(context)

        def rows(name: str) -> pl.LazyFrame:
            if name == TAKEDOWNS.name:
                return dataset.tables.scan(TAKEDOWNS, cell)  # a root where nothing was ever taken down may have none
            return pl.scan_parquet(dataset.tables.file(name, cell), hive_partitioning=False)

        passed, found = verdict(rows, **arguments)
        return dg.AssetCheckResult(passed=passed, metadata=found)

    partitions = graph.partitions.source if asset in OF_SOURCES else graph.partitions.source_year
    decorate = dg.asset_check(
        asset=dg.AssetKey(asset.split("/")),
        name=verdict.__name__,
        description=verdict.__doc__,
        blocking=True,
        partitions_def=None if asset in ACROSS_SOURCES else partitions,
    )
    return decorate(run)


def _checks_of_model_captions(graph: Graph) -> list[dg.AssetChecksDefinition]:
    name = MODEL_CAPTIONS.name
    return [
        _check(graph, name, matches_schema, table=MODEL_CAPTIONS),
        _check(graph, name, has_one_row_per_image, of=name),
        _check(graph, name, has_a_row_for_every_training_image, of=name),
        _check(graph, name, has_a_caption_and_its_score_or_an_error),
    ]


def _publishes_vectors(source: Source) -> bool:
    return isinstance(source, Pd12mSource) and bool(source.embeddings)


def _checks_of_agreement(graph: Graph) -> list[dg.AssetChecksDefinition]:
    name = EMBEDDING_AGREEMENT.name
    return [
        _check(graph, name, matches_schema, table=EMBEDDING_AGREEMENT),
        _check(graph, name, has_one_row_per_image, of=name),
        _advice(graph, name, has_the_vectors_of_the_named_model, graph.partitions.source_year),
    ]


def _most_apart(graph: Graph) -> dict[str, float | None]:
    return {"distance": graph.config.near_duplicates.max_distance, "cosine": graph.config.near_duplicates.min_cosine}


def _dumps(graph: Graph) -> list[str]:
    """The tables that keep lines of files of which some may be unreadable."""
    return ["pools", "artist_commentaries", "notes", *(f"id_list/{name}" for name in graph.config.id_lists)]


def _advice(
    graph: Graph, asset: str, verdict: Callable[..., Verdict], partitions: dg.PartitionsDefinition
) -> dg.AssetChecksDefinition:
    """A check that only warns: what was published contradicts what its publisher says of it."""

    def run(context: dg.AssetCheckExecutionContext, dataset: Dataset) -> dg.AssetCheckResult:
        cell = cell_of(context)
        rows = pl.scan_parquet(dataset.tables.file(asset, cell), hive_partitioning=False)
        passed, found = verdict(rows, graph.config.sources[str(cell.source)])
        return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=found)

    decorate = dg.asset_check(
        asset=dg.AssetKey(asset.split("/")),
        name=verdict.__name__,
        description=verdict.__doc__,
        blocking=False,
        partitions_def=partitions,
    )
    return decorate(run)


def has_as_many_records_as_its_publisher_says(rows: pl.LazyFrame, source: Source) -> Verdict:
    """The snapshot has as many records as `expected` says; of id lists, those of `ids` count."""
    found = _count(rows.filter("is_popular") if "is_popular" in rows.collect_schema() else rows)
    expected = {} if source.expected is None else {"expected": source.expected}
    return source.expected in (None, found), {"records": found, **expected}


def is_of_the_days_that_were_scraped(rows: pl.LazyFrame, source: Source) -> Verdict:
    """Every image was uploaded within the days that `window`, and the archive's name, say; and these agree."""
    if not isinstance(source, GalleryDlSource):
        return True, {}
    windows = {"window": source.window, "name": window_in_name(Path(source.images).name)}
    stated = {key: window for key, window in windows.items() if window is not None}
    found: dict[str, int | str] = {key: f"{first}..{last}" for key, (first, last) in stated.items()}
    all_within = True
    for key, window in stated.items():
        passed, outside = _none_of(rows.filter(is_outside(window)), "image_id", f"images_outside_{key}")
        if "examples" in outside:
            outside[f"outside_{key}"] = outside.pop("examples")
        all_within &= passed
        found |= outside
    return all_within and len(set(stated.values())) < 2, found


def has_no_picture_under_many_names(rows: pl.LazyFrame, source: Source) -> Verdict:
    """No file is stored for many images: what a host shows in place of hidden works belongs in `fetch.placeholders`."""
    stored = rows.filter(pl.col("state") == "stored").group_by("sha256").len("images")
    many = stored.filter(pl.col("images") > SAME_FILE_IMAGES).sort("images", "sha256", descending=True).collect()
    examples = {f"images_of_{sha256}": images for sha256, images in many.head(SHOWN).iter_rows()}
    return many.is_empty(), {"files_of_many_images": many.height, **examples}


def has_the_vectors_of_the_named_model(rows: pl.LazyFrame, source: Source) -> Verdict:
    """Published vectors are those that the model named in dataset.yaml gives, as far as a sample tells."""
    cosine = pl.col("cosine")
    counted = rows.select(cosine.count(), least=cosine.min(), median=cosine.median()).collect().row(0)
    found, least, median = counted
    if not found:
        return True, {"compared": 0, "note": "nothing was compared; the materialization says why"}
    shown = {"cosine_min": f"{least:.4f}", "cosine_median": f"{median:.4f}", "model": str(source.models.embeddings)}
    return median >= SAME_MODEL_COSINE, {"compared": found, **shown}


def has_no_row_without_its_image(rows: Rows, of: str) -> Verdict:
    """Every image that the table speaks of is listed."""
    strangers = rows(of).select("image_id").unique().join(rows("image_metadata"), on="image_id", how="anti")
    return _none_of(strangers, "image_id", "images_not_listed")


def has_each_origin_of_an_image_once(rows: Rows) -> Verdict:
    """No image has two captions of one origin."""
    repeated = rows("captions").group_by("image_id", "origin").len().filter(pl.col("len") > 1)
    return _none_of(repeated, "image_id", "captions_repeated")


def has_no_line_that_could_not_be_read(rows: pl.LazyFrame, source: Source) -> Verdict:
    """Every line of the dumps and lists could be read, and none stands twice; the others are rows with an error."""
    counted = rows.filter(pl.col("error").is_not_null()).group_by("error").len().sort("error").collect()
    return counted.is_empty(), dict(counted.iter_rows())


def has_every_child_below_its_parent(rows: Rows) -> Verdict:
    """Every post is one step below the parent that it names, under the same root."""
    parents = rows("families").select(parent_id="post_id", root_above="root_id", depth_above="depth")
    children = rows("families").filter(pl.col("parent_id") != pl.col("post_id")).join(parents, on="parent_id")
    is_below = (pl.col("root_id") == pl.col("root_above")) & pl.col("depth").eq_missing(pl.col("depth_above") + 1)
    return _none_of(children.filter(~is_below), "image_id", "children_elsewhere")


def has_every_duplicate_beside_its_leader(rows: Rows, distance: int, cosine: float | None = None) -> Verdict:
    """Every duplicate is like an image that leads its group, and duplicates none itself."""
    table = rows("near_duplicates")
    leaders = table.filter(pl.col("duplicate_of").is_null()).select(duplicate_of="image_id", leader_pixels="pixel_hash")
    led = table.filter(pl.col("duplicate_of").is_not_null()).join(leaders, on="duplicate_of", how="left")
    is_exact = (pl.col("kind") == "exact") & (pl.col("pixel_hash") == pl.col("leader_pixels"))
    is_like = (pl.col("kind") == "perceptual") & pl.col("distance").is_between(0, distance)
    is_seen = (pl.col("kind") == "semantic") & (pl.col("cosine") >= (2.0 if cosine is None else cosine - 1e-6))
    is_beside = pl.col("leader_pixels").is_not_null() & (is_exact | is_like | is_seen)
    return _none_of(led.filter(~is_beside.fill_null(False)), "image_id", "duplicates_astray")


def has_one_post_at_each_place(rows: Rows) -> Verdict:
    """No two posts stand at one place of a pool."""
    placed = rows("pools").filter(pl.col("error").is_null(), pl.col("position").is_not_null())
    repeated = placed.group_by("pool_id", "position").len().filter(pl.col("len") > 1)
    return _none_of(repeated, "pool_id", "places_repeated")


def has_one_row_per_image(rows: Rows, of: str) -> Verdict:
    """No image stands in the table twice."""
    repeated = rows(of).group_by("image_id").len().filter(pl.col("len") > 1)
    return _none_of(repeated, "image_id", "images_repeated")


def has_each_tag_of_an_image_once(rows: Rows, of: str) -> Verdict:
    """No image has the same tag of the same category twice; mirrors do have artists who are named like a tag."""
    return _none_repeated(rows(of), ("tag", "image_id", "category"), "tags_repeated")


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


def has_no_image_that_was_taken_down(rows: Rows) -> Verdict:
    """No image that was taken down has a file; it is excluded, for this reason."""
    down = rows(TAKEDOWNS.name).select("image_id")
    is_out = (pl.col("state") == "excluded") & (pl.col("reason") == TAKEN_DOWN) & pl.col("path").is_null()
    kept = rows("raw_images").join(down, on="image_id", how="semi").filter(~is_out.fill_null(False))
    return _none_of(kept, "image_id", "images_kept")


def has_a_row_for_every_stored_image(rows: Rows, of: str) -> Verdict:
    """The table has the stored images, each and no other."""
    return _same_images(rows("raw_images").filter(pl.col("state") == "stored"), rows(of))


def has_a_row_for_every_training_image(rows: Rows, of: str) -> Verdict:
    """The table has the training images that were made, each and no other."""
    return _same_images(rows("training_images").filter(pl.col("error").is_null()), rows(of))


def has_a_caption_and_its_score_or_an_error(rows: Rows) -> Verdict:
    """Every image has words and how probable they are to the model, or the reason why it has none."""
    words, score = pl.col("caption").str.len_chars() > 0, pl.col("score")
    captioned = words & score.is_finite() & (score <= 0) & pl.col("error").is_null()
    failed = pl.col("error").is_not_null() & pl.col("caption").is_null() & score.is_null()
    wrong = rows("model_captions").filter(~(captioned.fill_null(False) | failed))
    return _none_of(wrong, "image_id", "images_without_either")


def has_a_tagged_row_for_every_training_image(rows: Rows) -> Verdict:
    """The table has the training images that were made, each and no other."""
    return _same_images(rows("training_images").filter(pl.col("error").is_null()), rows("predicted_tags"))


def has_a_score_for_every_vector(rows: Rows) -> Verdict:
    """The table has the images of `clip_embeddings`, each and no other, and a finite score for each vector."""
    scored = rows("image_scores")
    made = pl.any_horizontal(pl.col("aesthetic_score", "quality_score").is_finite())
    passed, found = _same_images(rows("clip_embeddings"), scored)
    without = scored.filter(pl.col("error").is_null() & ~made.fill_null(False))
    finite, unscored = _none_of(without, "image_id", "unscored")
    return passed and finite, {**found, **unscored}


def has_no_line_that_is_no_decision(rows: pl.LazyFrame, source: Source) -> Verdict:
    """Every line of the files of decisions can be read."""
    return _none_of(rows.filter(pl.col("state") == UNREADABLE), "file", "lines_unreadable")


def has_each_disagreement_once(rows: Rows) -> Verdict:
    """No image and tag stand in the table twice, and none is about a tag on which the two agree."""
    repeated = rows("tag_disagreements").group_by("image_id", "tag").len().filter(pl.col("len") > 1)
    tagged = rows("tag_metadata").select("image_id", "tag").unique().with_columns(is_tagged=True)
    both = rows("tag_disagreements").join(tagged, on=["image_id", "tag"], how="left")
    wrong = both.filter((pl.col("kind") == "doubtful") != pl.col("is_tagged").fill_null(False))
    no_repeats, found = _none_of(repeated, "image_id", "pairs_repeated")
    fits, unfit = _none_of(wrong, "image_id", "pairs_that_agree")
    return no_repeats and fits, {**found, **unfit}


def has_scores_of_0_to_1(rows: Rows) -> Verdict:
    """Every score lies in 0 to 1, every image without an error has its tags, and none of them stands twice."""
    tagged, score = rows("predicted_tags"), pl.element().struct.field("score")
    named = pl.element().struct.field("category") + " " + pl.element().struct.field("tag")
    within = pl.col("tags").list.eval(score.is_between(0, 1)).list.all()
    distinct = pl.col("tags").list.eval(named).list.n_unique() == pl.col("tags").list.len()
    lawful = pl.when(pl.col("error").is_null()).then(within & distinct).otherwise(pl.col("tags").is_null())
    return _none_of(tagged.filter(~lawful.fill_null(False)), "image_id", "wrong_scores")


def has_the_pixels_of_its_original(rows: Rows) -> Verdict:
    """Every image that was recompressed has the pixels that were found when its original was judged."""
    found = rows("image_facts").select("image_id", input_key="sha256", pixels_before="pixel_hash")
    made = rows("optimized_images").join(found, on=["image_id", "input_key"])
    recompressed = made.filter(pl.col("error").is_null(), pl.col("kept_because").is_null())
    differ = recompressed.filter(pl.col("pixel_hash").ne_missing(pl.col("pixels_before")))
    return _none_of(differ, "image_id", "images_with_other_pixels")


def is_never_larger_than_its_original(rows: Rows) -> Verdict:
    """A recompressed image is smaller than its original; one that was kept is the original, for a lawful reason."""
    made = rows("optimized_images").filter(pl.col("error").is_null())
    is_original = (pl.col("size") == pl.col("original_size")) & (pl.col("sha256") == pl.col("input_key"))
    is_smaller = pl.col("size") < pl.col("original_size")
    reason = pl.col("kept_because")
    lawful = pl.when(reason.is_null()).then(is_smaller).otherwise(is_original & reason.is_in(KEPT_REASONS))
    return _none_of(made.filter(~lawful.fill_null(False)), "image_id", "images_not_smaller")


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


def _none_repeated(rows: pl.LazyFrame, keys: tuple[str, ...], what: str) -> Verdict:
    """Pass when no row has the keys of the one before; tables are sorted by them, so equal rows stand together."""
    repeated, examples, last = 0, list[str](), rows.select(keys).head(0).collect()
    equals_the_one_before = pl.all_horizontal(pl.col(key).eq_missing(pl.col(key).shift()) for key in keys)
    for batch in rows.select(keys).collect_batches(chunk_size=ROWS_AT_A_TIME, maintain_order=True):
        joined = pl.concat([last, batch])
        equal = joined.filter(equals_the_one_before)
        repeated += equal.height
        examples += equal.head(SHOWN).get_column("image_id").to_list()
        last = joined.tail(1)
    return repeated == 0, {what: repeated} | ({"examples": ", ".join(examples[:SHOWN])} if examples else {})


def _none_of(wrong: pl.LazyFrame, column: str, what: str) -> Verdict:
    """Pass when there are no such rows; otherwise say how many, and name the first."""
    found = wrong.select(pl.len().alias("count"), pl.col(column).bottom_k(SHOWN).sort().implode().alias("first"))
    count, first = found.collect(engine="streaming").row(0)
    return count == 0, {what: count} | ({"examples": ", ".join(first)} if first else {})


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect(engine="streaming").item())
