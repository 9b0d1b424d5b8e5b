import polars as pl
import pytest

from dataset_assets.sources.danbooru_listing import locate_among, orphans_among

LISTED = pl.DataFrame({"image_id": ["danbooru-5013-0"], "post_id": ["5013"], "file_ext": ["png"]})


def listing(*names: str) -> pl.DataFrame:
    files = {"name": names, "location": [f"a.tar!{name}" for name in names]}
    return pl.DataFrame(files).with_columns(size=1, mtime_ns=1, etag=None, problem=pl.lit(None, pl.String))


def located(*names: str) -> str | None:
    place: str | None = locate_among(listing(*names), LISTED)["location"][0]
    return place


@pytest.mark.parametrize("folder", ["", "./", "original/", "./original/", "danbooru2021/original/", "./a/b/original/"])
def test_an_image_is_found_below_the_mirrors_own_folder(folder: str) -> None:
    assert located(f"{folder}0013/5013.png") == f"a.tar!{folder}0013/5013.png"


@pytest.mark.parametrize(
    "name", ["512px/0013/5013.png", "5013.png", "original/0014/5013.png", "aboriginal/0013/5013.png"]
)
def test_what_lies_elsewhere_is_no_original_and_is_told_apart(name: str) -> None:
    assert located(name) is None
    snapshot = pl.LazyFrame({"id": [5013], "file_ext": ["png"]})
    assert orphans_among(listing(name), snapshot)["file"].to_list() == [name]


def test_the_claimed_extension_counts_most_then_the_place_less_deep() -> None:
    assert located("original/0013/5013.jpg", "old/original/0013/5013.png") == "a.tar!old/original/0013/5013.png"
    assert located("a/original/0013/5013.png", "original/0013/5013.png") == "a.tar!original/0013/5013.png"
