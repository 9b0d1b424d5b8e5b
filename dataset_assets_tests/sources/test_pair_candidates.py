from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dataset_assets.config import GalleryDlSource, License
from dataset_assets.domain.schemas import require_schema
from dataset_assets.sources import gallery_dl
from dataset_assets.sources.gallery_dl import SNAPSHOT
from dataset_assets.sources.pair_candidates import PAIR_CANDIDATES, pair_candidates
from dataset_assets_tests.sources.scrapes import parsed, sidecar


def found(*sidecars: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [parsed(keys, f"niji/{keys['id']}_p{keys['num']}.png.json") for keys in sidecars]
    candidates = pair_candidates(SNAPSHOT.frame(rows).lazy()).collect()
    require_schema(PAIR_CANDIDATES, candidates.schema)
    return candidates.sort(PAIR_CANDIDATES.sorted_by).to_dicts()


@pytest.mark.parametrize(
    "link",
    [
        "https://www.pixiv.net/member_illust.php?mode=medium&illust_id=14577906",
        "http://www.pixiv.net/member_illust.php?mode=medium&amp;illust_id=14577906",
        "www.pixiv.net/member_illust.php?illust_id=14577906&mode=medium",
        "https://www.pixiv.net/artworks/14577906",
        "https://www.pixiv.net/en/artworks/14577906#big",
        '<a href="pixiv://illusts/14577906">illust/14577906</a>',
        "pixiv.net/i/14577906",
    ],
)
def test_a_link_to_a_work_is_a_candidate_whatever_its_form(link: str) -> None:
    [row] = found(sidecar(14646322, caption=f"線画はこちら→{link}<br />"))

    assert (row["post_id"], row["linked_post_id"], row["linked_is_older"]) == ("14646322", "14577906", True)
    assert row["link"] in link


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://www.pixiv.net/users/14577906",
        "https://www.pixiv.net/fanbox/creator/14577906",
        "https://twitter.com/i/14577906",
        "https://www.pixiv.net/artworks/14646322",
        "pixiv://users/14577906",
        "14577906",
    ],
)
def test_other_links_and_a_link_to_itself_are_none(text: str) -> None:
    assert found(sidecar(14646322, caption=text)) == []


def test_the_pages_of_a_work_say_the_same_and_count_once() -> None:
    twice = "https://www.pixiv.net/artworks/5 https://www.pixiv.net/i/5"
    rows = found(*(sidecar(9, page, caption=twice) for page in (1, 0)))

    assert [(row["linked_post_id"], row["image_id"]) for row in rows] == [("5", "niji-9-0")]


def test_tags_of_colouring_and_the_other_work_are_evidence() -> None:
    tags = ["塗ってみた", "雪", "塗らせていただきました", "塗らせて頂きました"]
    linking = sidecar(9, caption="pixiv://illusts/5 pixiv://illusts/12", tags=tags)

    first, second = found(linking, sidecar(5, 1, caption=""))
    assert first["linked_post_id"] == "12"
    assert (first["linked_image_id"], first["linked_is_older"]) == (None, False)
    assert (second["linked_image_id"], second["linked_is_older"]) == ("niji-5-1", True)
    assert second["coloring_tags"] == [tags[0], tags[2], tags[3]]


def test_a_work_without_tags_has_none() -> None:
    [row] = found(sidecar(9, caption="pixiv://illusts/5", tags=...))

    assert row["coloring_tags"] == []


def test_the_links_of_real_descriptions(real_data: Path, tmp_path: Path) -> None:
    scrape = real_data / "pixiv_sidecars" / "gallery-dl_1.24.1"
    source = GalleryDlSource(kind="gallery_dl", images=str(scrape), years=(2022,), license=License(name="x", basis="y"))
    gallery_dl.read_snapshot("niji", source, tmp_path / "snapshot.parquet", lambda line: None)
    rows = pair_candidates(pl.scan_parquet(tmp_path / "snapshot.parquet")).collect()

    assert set(rows.select("post_id", "linked_post_id").iter_rows()) == {
        ("98602905", "82255171"),
        ("119900345", "119478848"),
    }
