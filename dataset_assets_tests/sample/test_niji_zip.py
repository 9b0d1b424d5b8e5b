import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataset_assets.sample.niji_works import linked_works
from dataset_assets.sample.niji_zip import ARCHIVE


@pytest.fixture(scope="module")
def archive(sample: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(sample / "sources" / ARCHIVE) as opened:
        yield opened


@pytest.fixture(scope="module")
def names(archive: zipfile.ZipFile) -> list[str]:
    return archive.namelist()


@pytest.fixture(scope="module")
def sidecars(archive: zipfile.ZipFile, names: list[str]) -> dict[str, dict[str, Any]]:
    """The readable ones, by the image's name."""
    found = {}
    for name in names:
        if name.endswith(".json"):
            try:
                found[name.removesuffix(".json")] = json.loads(archive.read(name))
            except json.JSONDecodeError:
                continue
    return found


def test_forty_images_and_their_sidecars_lie_in_one_folder(names: list[str]) -> None:
    assert len([name for name in names if not name.endswith(".json")]) == 40
    assert {name.split("/")[0] for name in names} == {"nijijourney"}
    assert len(names) == len(set(names))


def test_one_image_has_no_sidecar_one_sidecar_no_image_and_one_is_damaged(
    names: list[str], sidecars: dict[str, Any]
) -> None:
    images = {name for name in names if not name.endswith(".json")}
    described = {name.removesuffix(".json") for name in names if name.endswith(".json")}
    assert len(images - described) == 1
    assert len(described - images) == 1
    assert len(described - set(sidecars)) == 1


def test_sidecars_are_written_as_gallery_dl_wrote_them(archive: zipfile.ZipFile, sidecars: dict[str, Any]) -> None:
    for image, sidecar in sidecars.items():
        written = json.dumps(sidecar, indent=4, sort_keys=True, ensure_ascii=False) + "\n"
        assert archive.read(f"{image}.json").decode() == written


def test_sidecars_have_the_keys_of_true_ones(sidecars: dict[str, Any], real_data: Path) -> None:
    true = [
        json.loads(file.read_text("utf-8"))
        for file in (real_data / "pixiv_sidecars" / "gallery-dl_1.24.1").rglob("*.json")
    ]
    searched = next(sidecar for sidecar in true if sidecar["subcategory"] == "search")
    for sidecar in sidecars.values():
        assert set(sidecar) == set(searched)
        assert set(sidecar["user"]) == set(searched["user"])
        assert set(sidecar["search"]) == set(searched["search"])


def test_sidecars_name_their_own_file(sidecars: dict[str, Any]) -> None:
    for image, sidecar in sidecars.items():
        assert image == f"nijijourney/{sidecar['filename']}.{sidecar['extension']}"
        assert sidecar["filename"] == f"{sidecar['id']}_p{sidecar['num']}"


def test_one_work_has_three_pages_that_share_the_size_of_the_first(
    archive: zipfile.ZipFile, sidecars: dict[str, Any]
) -> None:
    pages = sorted((image, sidecar) for image, sidecar in sidecars.items() if sidecar["page_count"] > 1)
    assert [sidecar["num"] for _, sidecar in pages] == [0, 1, 2]
    assert [sidecar["suffix"] for _, sidecar in pages] == ["_p00", "_p01", "_p02"]
    assert len({(sidecar["width"], sidecar["height"]) for _, sidecar in pages}) == 1
    sizes = [Image.open(BytesIO(archive.read(image))).size for image, _ in pages]
    assert sizes[0] == (pages[0][1]["width"], pages[0][1]["height"])
    assert sizes[2] != sizes[0]


def test_ratings_and_ai_types_are_mixed(sidecars: dict[str, Any]) -> None:
    works = {sidecar["id"]: sidecar for sidecar in sidecars.values()}.values()
    assert {(work["x_restrict"], work["rating"]) for work in works} == {(0, "General"), (1, "R-18"), (2, "R-18G")}
    assert set(Counter(work["illust_ai_type"] for work in works)) == {0, 1, 2}
    for work in works:
        assert work["x_restrict"] == 0 or work["tags"][0] == work["rating"]


def test_all_are_of_the_collecting_window(sidecars: dict[str, Any]) -> None:
    assert all("2022-11-06" <= sidecar["date"] < "2022-12-28" for sidecar in sidecars.values())
    assert all(sidecar["create_date"].endswith("+09:00") for sidecar in sidecars.values())


def test_tags_are_japanese(sidecars: dict[str, Any]) -> None:
    tags = {tag for sidecar in sidecars.values() for tag in sidecar["tags"]}
    assert {"女の子", "風景", "オリジナル", "nijijourney"} <= tags


def test_members_have_no_time_of_their_own(archive: zipfile.ZipFile) -> None:
    assert {(member.date_time, member.compress_type) for member in archive.infolist()} == {
        ((2022, 12, 27, 0, 0, 0), zipfile.ZIP_STORED)
    }


def test_danbooru_posts_name_works_of_the_archive(sample: Path, sidecars: dict[str, Any]) -> None:
    metadata = "".join(
        file.read_text("utf-8") for file in (sample / "sources" / "danbooru" / "metadata").glob("*.json")
    )
    ids = {sidecar["id"] for sidecar in sidecars.values()}
    for work in linked_works():
        assert f'"pixiv_id":"{work.id}"' in metadata
        assert work.id in ids
