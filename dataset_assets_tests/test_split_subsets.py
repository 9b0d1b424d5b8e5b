"""Parts of subsets through the graph: nothing that belongs together is parted, over years and sources."""

from collections import defaultdict
from pathlib import Path

import pytest

from dataset_assets.assets.graph import UNIQUE_JOB
from dataset_assets.staleness import keys_of
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror, picture

SOURCES = """
root: ./data
sources:
  danbooru:
    kind: danbooru
    metadata: metadata/*.json
    images: original
    years: 2006..2007
    license: {name: various, basis: site terms}
  pixiv_popular:
    kind: pixiv_lists
    ids: ids.txt
    sketch_pairs: pairs.csv
    images: pixiv
    collected: 2017
    license: {name: none, basis: the lists alone are published}
clip: {model: "local-dir:tiny-clip-random", pretrained: null, random_weights: true, batch_size: 4}
workers: 2
subsets:
  by_image: {splits: {a: 1, b: 1}, split_by: image}
  by_duplicates: {splits: {a: 1, b: 1}, where: "page < 5"}
  by_sketch: {splits: {a: 1, b: 1}, split_by: sketch}
  by_family: {splits: {a: 1, b: 1}, split_by: family}
  whole: {}
"""
NAMES = ("by_image", "by_duplicates", "by_sketch", "by_family")
WANTED = [
    *("source_snapshot", "image_metadata", "tag_metadata", "tag_relations", "raw_images", "image_facts"),
    *("training_images", "families", "sketch_pairs", "picture_hashes", "near_duplicates", "subset/whole"),
    *(f"subset/{name}" for name in NAMES),
]
SKETCHES, COLOURINGS = range(100, 108), 3


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """Sketches with colourings; each colouring is a post of 2006 too, which has children in 2007, or none."""
    made = Mirror.make(tmp_path, posts_by_year=0)
    made.config_file.write_text(SOURCES.lstrip(), "utf-8")
    (tmp_path / "pixiv").mkdir()
    pairs = [(1000 * sketch + number, sketch) for sketch in SKETCHES for number in range(COLOURINGS)]
    (tmp_path / "pairs.csv").write_text("".join(f"{colored},{sketch}\n" for colored, sketch in pairs), "utf-8")
    ids = sorted({one for pair in pairs for one in pair})
    (tmp_path / "ids.txt").write_text("".join(f"{one}\n" for one in ids), "utf-8")
    for one in ids:
        (tmp_path / "pixiv" / f"{one}_p0.png").write_bytes(picture(one))
    for number, (colored, _) in enumerate(pairs):
        made.add_post(6000 + number, 2006, ["1girl"], data=picture(colored))
        made.add_post(7000 + number, 2007, ["1girl"], data=picture(7000 + number))
        made.posts[7000 + number]["parent_id"] = str(6000 + number // 2)
    made.write_metadata()
    return made


def parts(mirror: Mirror, subset: str) -> dict[str, str]:
    return dict(mirror.table(f"subset/{subset}").select("image_id", "split").iter_rows())


def parted(found: dict[str, str], groups: dict[str, str]) -> set[str]:
    """The groups, of images by their group's name, that lie in more than one part."""
    lies_in = defaultdict(set)
    for image, group in groups.items():
        lies_in[group].add(found[image])
    return {group for group, several in lies_in.items() if len(several) > 1}


@pytest.mark.slow
def test_no_duplicate_sketch_or_family_lies_in_two_parts_and_what_arrives_moves_none(mirror: Mirror) -> None:
    mirror.rebuild(assets=WANTED)
    found = {name: parts(mirror, name) for name in NAMES}
    groups = dict(mirror.table("near_duplicates", Cell()).select("image_id", "group_id").iter_rows())
    pairs = mirror.table("sketch_pairs", Cell("pixiv_popular"))
    sketches = dict(pairs.select("colored_id", "sketch_id").iter_rows())
    sketches |= {sketch: sketch for sketch in sketches.values()}
    families = dict(mirror.table("families", Cell("danbooru")).select("image_id", "root_id").iter_rows())

    assert len(groups) == len(set(groups.values())) + len(SKETCHES) * COLOURINGS, "each colouring is a post too"
    for name in ("by_duplicates", "by_sketch", "by_family"):
        assert parted(found[name], groups) == set()
    assert parted(found["by_sketch"], sketches) == set()
    assert parted(found["by_family"], families) == set()
    for name in NAMES:
        assert set(found[name].values()) == {"a", "b"}
    assert parted(found["by_image"], groups), "were this empty, the test could not fail"
    assert parted(found["by_duplicates"], sketches)
    assert set(parts(mirror, "whole").values()) == {None}

    for number in range(6):
        mirror.add_post(6900 + number, 2006, ["1girl"])
    mirror.add_post(6999, 2006, ["1girl"], data=picture(7003, (96, 80)))
    mirror.write_metadata()
    mirror.rebuild(assets=WANTED)

    for name in NAMES:
        after = parts(mirror, name)
        assert {image: after[image] for image in found[name]} == found[name]
    assert parts(mirror, "by_duplicates")["danbooru-6999-0"] == found["by_duplicates"]["danbooru-7003-0"]


def test_subsets_whose_parts_need_duplicates_wait_for_all_sources(mirror: Mirror) -> None:
    waiting = {key.to_user_string() for key in keys_of(mirror.definitions, UNIQUE_JOB)}

    assert waiting == {"subset/by_duplicates", "subset/by_sketch", "subset/by_family"}
