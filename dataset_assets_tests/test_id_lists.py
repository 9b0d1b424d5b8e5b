"""Subsets that leave out the posts of a list, or take no others, through the graph."""

from pathlib import Path

import pytest

from dataset_assets.config import ConfigError
from dataset_assets.storage.tables import Cell
from dataset_assets.trace import trace
from dataset_assets_tests.mirror import Mirror

TO_SUBSETS = ["source_snapshot", "image_metadata", "tag_metadata", "raw_images", "image_facts", "training_images"]
TO_SUBSETS += [f"subset/{name}" for name in ("everything", "unique", "no_photos", "chosen")]
LISTS = """
id_lists:
  duplicates: {file: duplicates.txt, source: danbooru}
  photos: {file: [photos.txt], source: danbooru}
  good: {file: good.txt, source: danbooru}
"""
SUBSETS = """
  unique: {exclude: [duplicates, photos]}
  no_photos: {exclude: photos}
  chosen: {only: good, exclude: photos}
"""


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """Posts 6000 to 6003 of one year, and three images of another source."""
    made = Mirror.make(tmp_path, posts_by_year=4)
    settings = made.config_file.read_text("utf-8").replace("2005..2007", "2006")
    made.config_file.write_text(settings.rstrip("\n") + SUBSETS + LISTS, "utf-8")
    (tmp_path / "duplicates.txt").write_text("# of 2020\n6000\nabc\n", "utf-8")
    (tmp_path / "photos.txt").write_text("6001\r\n999999", "utf-8")
    (tmp_path / "good.txt").write_text("6001\n6002\n", "utf-8")
    return made


def reasons(mirror: Mirror, subset: str) -> dict[str, str | None]:
    rows = mirror.table(f"subset/{subset}").filter(source="danbooru")
    return {name.split("-")[1]: reason for name, reason in rows.select("image_id", "drop_reason").rows()}


@pytest.mark.slow
def test_listed_posts_are_left_out_and_trace_names_the_list(mirror: Mirror) -> None:
    mirror.rebuild(assets=TO_SUBSETS)

    assert reasons(mirror, "unique") == {"6000": "exclude", "6001": "exclude", "6002": None, "6003": None}
    assert reasons(mirror, "chosen") == {"6000": "only", "6001": "exclude", "6002": None, "6003": "only"}
    niji = mirror.table("subset/unique").filter(source="pixiv_niji")
    assert niji.get_column("drop_reason").null_count() == 3, "a list of one source leaves out no post of another"
    story = {chapter.table: chapter.facts for chapter in trace(mirror.config, "danbooru-6000-0")}
    assert story["subset/unique"]["verdict"] == "dropped by the rule 'exclude': duplicates, photos"
    assert "id_list/duplicates" in story
    assert "id_list/photos" not in story


@pytest.mark.slow
def test_a_changed_list_rebuilds_the_subsets_that_use_it_and_no_other(mirror: Mirror) -> None:
    names = ("everything", "unique", "no_photos", "chosen")

    def runs() -> dict[str, str]:
        mirror.rebuild(assets=TO_SUBSETS)
        return {name: mirror.commits(f"subset/{name}")[Cell("danbooru", 2006)].run_id for name in names}

    first = runs()
    assert runs() == first, "nothing changed"
    with (mirror.folder / "duplicates.txt").open("a", encoding="utf-8") as listed:
        listed.write("6002\n")
    second = runs()

    assert {name for name in names if first[name] != second[name]} == {"unique"}
    assert reasons(mirror, "unique")["6002"] == "exclude"


def test_a_line_that_is_no_id_stays_as_a_row(mirror: Mirror) -> None:
    mirror.rebuild(assets=["source_snapshot", "id_list/duplicates"])
    rows = mirror.table("id_list/duplicates", Cell("danbooru")).select("post_id", "record_line", "error", "content")

    assert rows.rows() == [("6000", 2, None, None), (None, 3, "bad_id", "abc")]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("exclude: [duplicates, photos]", "exclude: [duplicate]"), "there is no id list 'duplicate'; did you mean"),
        (("only: good", "only: goods"), "subsets.chosen.only: there is no id list 'goods'; did you mean 'good'?"),
        (("good.txt, source: danbooru", "good.txt, source: dambooru"), "id_lists.good.source: there is no source"),
    ],
)
def test_a_name_that_nothing_bears_is_refused_with_the_nearest_one(
    mirror: Mirror, wrong: tuple[str, str], said: str
) -> None:
    mirror.config_file.write_text(mirror.config_file.read_text("utf-8").replace(*wrong), "utf-8")

    with pytest.raises(ConfigError) as error:
        _ = mirror.config
    assert said in str(error.value)


def test_a_list_that_is_not_there_is_named_by_its_key(mirror: Mirror) -> None:
    (mirror.folder / "good.txt").unlink()

    with pytest.raises(ConfigError, match=r"id_lists\.good\.file: no file matches"):
        mirror.config.require_inputs(["danbooru"])
    mirror.config.require_inputs(["pixiv_niji"])
