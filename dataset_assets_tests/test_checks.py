"""What each check refuses, and what it says of it."""

from collections.abc import Callable

import polars as pl
import pytest

from dataset_assets import checks
from dataset_assets.domain.schemas import TAG_METADATA

Frames = Callable[[str], pl.LazyFrame]


def tables(**frames: pl.DataFrame) -> Frames:
    return lambda name: frames[name].lazy()


def images(*ids: str, **columns: list[object]) -> pl.DataFrame:
    return pl.DataFrame({"image_id": list(ids), **columns}, schema_overrides={"image_id": pl.String})


def tags(*rows: tuple[str, str, str | None]) -> pl.DataFrame:
    schema = dict.fromkeys(("tag", "image_id", "category"), pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(origin=pl.lit("source"))


@pytest.mark.parametrize("rows_at_a_time", [1, 2, 3, 100])
def test_a_tag_that_an_image_has_twice_is_found_wherever_a_batch_ends(
    rows_at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "ROWS_AT_A_TIME", rows_at_a_time)
    once = [("a", "x-1-0", "artist"), ("a", "x-1-0", "general"), ("a", "x-2-0", None), ("b", "x-1-0", None)]
    good = tables(tag_metadata=tags(*once))
    twice = tables(tag_metadata=tags(*once[:3], once[2], once[3], once[3]))

    assert checks.has_each_tag_of_an_image_once(good, "tag_metadata") == (True, {"tags_repeated": 0})
    found = {"tags_repeated": 2, "examples": "x-2-0, x-1-0"}
    assert checks.has_each_tag_of_an_image_once(twice, "tag_metadata") == (False, found)


def test_an_image_that_stands_twice_is_named() -> None:
    rows = tables(image_metadata=images("x-1-0", "x-2-0", "x-2-0"))
    assert checks.has_one_row_per_image(rows, "image_metadata") == (False, {"images_repeated": 1, "examples": "x-2-0"})


def test_a_tagged_image_that_is_not_listed_is_named() -> None:
    rows = tables(image_metadata=images("x-1-0"), tag_metadata=tags(("a", "x-1-0", None), ("a", "x-9-0", None)))
    assert checks.has_no_tag_without_its_image(rows) == (False, {"images_not_listed": 1, "examples": "x-9-0"})


def test_an_image_that_was_taken_down_and_is_still_there_is_named() -> None:
    down, paths = images("x-1-0", "x-2-0"), ["images/raw/1.png", None, None]
    raw = images("x-1-0", "x-2-0", "x-3-0", state=["stored", "excluded", "stored"], path=paths)
    raw = raw.with_columns(reason=pl.Series([None, "taken_down", None]))
    found = {"images_kept": 1, "examples": "x-1-0"}
    assert checks.has_no_image_that_was_taken_down(tables(takedowns=down, raw_images=raw)) == (False, found)
    assert checks.has_no_image_that_was_taken_down(tables(takedowns=down.tail(1), raw_images=raw))[0]


def test_a_listed_image_without_a_state_and_an_unlawful_state_are_named() -> None:
    raw = images("x-1-0", "x-2-0", state=["stored", "pending"], reason=[None, "file_missing"])
    listed = images("x-1-0", "x-2-0")
    assert checks.has_every_listed_image_in_one_state(tables(image_metadata=listed, raw_images=raw))[0]
    more = images("x-1-0", "x-2-0", "x-3-0")
    passed, found = checks.has_every_listed_image_in_one_state(tables(image_metadata=more, raw_images=raw))
    assert (passed, found["images_missing"], found["examples"]) == (False, 1, "x-3-0")
    unlawful = raw.with_columns(reason=pl.lit("because"))
    passed, found = checks.has_every_listed_image_in_one_state(tables(image_metadata=listed, raw_images=unlawful))
    assert (passed, found["unlawful_states"]) == (False, 2)


def test_a_vector_that_is_not_finite_or_of_another_length_is_named() -> None:
    vectors = [[1.0, 0.0], [float("nan"), 0.0], [0.5, 0.5], None]
    rows = pl.DataFrame(
        {"image_id": ["x-1-0", "x-2-0", "x-3-0", "x-4-0"], "embedding": vectors},
        schema={"image_id": pl.String, "embedding": pl.Array(pl.Float32, 2)},
    )
    found = checks.has_finite_vectors_of_unit_length(tables(clip_embeddings=rows))
    assert found == (False, {"wrong_vectors": 2, "examples": "x-2-0, x-3-0"})


def test_a_file_with_other_columns_is_told_by_column() -> None:
    rows = tables(tag_metadata=tags().drop("origin"))
    assert checks.matches_schema(rows, TAG_METADATA) == (False, {"problem": "tag_metadata: origin is missing"})
