"""Which Pixiv work an image is, and what two sources share."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.pixiv_works import PIXIV_WORKS, SAME_WORKS, pixiv_works, same_works
from dataset_assets.domain.schemas import IMAGE_METADATA, require_schema

LINKS = {
    "https://i.pximg.net/img-original/img/2020/07/26/23/24/44/83250427_p0.png": ("83250427", 0),
    "https://i.pximg.net/img-original/img/2018/10/12/00/00/27/71137611_p13.jpg": ("71137611", 13),
    "https://i.pximg.net/img-master/img/2014/10/03/18/10/20/46324488_p2_master1200.jpg": ("46324488", 2),
    "https://i.pximg.net/c/600x600/img-master/img/2014/10/03/18/10/20/46324488_p1_master1200.jpg": ("46324488", 1),
    "https://i.pximg.net/img-zip-ugoira/img/2014/08/05/06/01/10/44524589_ugoira1920x1080.zip": ("44524589", 0),
    "https://i.pximg.net/img-original/img/2019/05/27/17/59/33/74932152_ugoira0.jpg": ("74932152", 0),
    "http://i4.pixiv.net/img-original/img/2016/07/25/14/51/40/58080247_p0.jpg": ("58080247", 0),
    "http://i2.pixiv.net/img18/img/evazion/14901720_big_p3.png": ("14901720", 3),
    "http://img38.pixiv.net/img/1322881/26165752.jpg": ("26165752", 0),
    "http://img03.pixiv.net/img/lilin/26168946_m.jpg": ("26168946", None),
    "http://i1.pixiv.net/img07/img/pasirism/18557054_p1.png?1377140193": ("18557054", 1),
    "https://www.pixiv.net/artworks/46324488": ("46324488", None),
    "https://www.pixiv.net/en/artworks/46324488#big_2": ("46324488", None),
    "pixiv.net/i/18557054": ("18557054", None),
    "http://www.pixiv.net/member_illust.php?mode=medium&illust_id=18557054": ("18557054", None),
    "http://www.pixiv.net/member_illust.php?illust_id=18557054&mode=medium": ("18557054", None),
    "http://www.pixiv.net/member_illust.php?mode=manga_big&illust_id=18557054&page=4": ("18557054", 4),
    " https://www.pixiv.net/artworks/46324488\n": ("46324488", None),
    # No works, whatever the numbers look like.
    "https://i.pximg.net/user-profile/img/2014/12/18/10/31/23/8733472_7dc7310db6cc37163af145d04499e411_170.jpg": None,
    "https://i.pximg.net/novel-cover-original/img/2019/01/14/01/15/05/10617324_d84daae89092d96bbe66efa.jpg": None,
    "https://www.pixiv.net/users/46324488": None,
    "https://www.pixiv.net/novel/show.php?id=10617324": None,
    "https://www.pixiv.net/artworks/0": None,
    "https://www.pixiv.net/artworks/9999999999999999999999": None,
    "https://www.pixiv.net.example.com/artworks/46324488": None,
    "https://example.com/?u=https://www.pixiv.net/artworks/46324488": None,
    "https://twitter.com/iwasi_R/status/1050302089270779904": None,
    "pixiv": None,
}


def images(rows: list[dict[str, object]]) -> pl.LazyFrame:
    return IMAGE_METADATA.frame(rows).lazy()


def work_of(link: str | None, pixiv_id: str | None = None) -> dict[str, object] | None:
    rows = [{"image_id": "danbooru-1-0", "page": 0, "source_url": link, "pixiv_id": pixiv_id}]
    found = pixiv_works(images(rows), is_of_pixiv=False).collect().to_dicts()
    return found[0] if found else None


@pytest.mark.parametrize("link", LINKS)
def test_a_link_tells_the_work_and_where_it_can_the_page(link: str) -> None:
    work = work_of(link)

    assert (work and (work["pixiv_id"], work["page"])) == LINKS[link]


def test_what_is_stated_counts_before_the_link_and_the_link_still_gives_the_page() -> None:
    link = "https://i.pximg.net/img-original/img/2018/10/12/00/00/27/71137611_p13.jpg"

    assert work_of(link, "71137611") == {
        "image_id": "danbooru-1-0",
        "pixiv_id": "71137611",
        "page": 13,
        "evidence": "pixiv_id",
        "url_pixiv_id": None,
    }
    assert work_of(link)["evidence"] == "source_url"  # type: ignore[index]


def test_a_link_to_another_work_than_the_stated_one_is_told_and_gives_no_page() -> None:
    work = work_of("https://i.pximg.net/img-original/img/2018/10/12/00/00/27/71137611_p13.jpg", "5")

    assert work is not None
    assert (work["pixiv_id"], work["page"], work["url_pixiv_id"]) == ("5", None, "71137611")


def test_a_number_that_can_be_no_work_is_passed_over() -> None:
    assert work_of(None, "-3") is None
    assert work_of(None, None) is None


def test_a_source_of_pixiv_works_knows_its_own_ids_and_pages() -> None:
    rows = [{"image_id": "niji-77-3", "page": 3, "pixiv_id": "77"}]
    works = pixiv_works(images(rows), is_of_pixiv=True).collect()

    require_schema(PIXIV_WORKS, works.schema)
    assert works.rows() == [("niji-77-3", "77", 3, "own_id", None)]


@given(st.text() | st.sampled_from(sorted(LINKS)).flatmap(lambda link: st.text().map(lambda tail: link + tail)))
def test_no_link_breaks_the_table_and_every_work_it_gives_is_a_number(link: str) -> None:
    work = work_of(link.encode("utf-8", "replace").decode())

    assert work is None or (str(work["pixiv_id"]).isdecimal() and 0 < int(str(work["pixiv_id"])) < 10**18)


def matches(*works: tuple[str, str, int | None]) -> dict[str, str]:
    """Image and match of the given works: image, pixiv id, page."""
    rows = [{"image_id": image, "pixiv_id": work, "page": page, "evidence": "own_id"} for image, work, page in works]
    found = same_works(PIXIV_WORKS.frame(rows).lazy()).collect()
    require_schema(SAME_WORKS, found.schema)
    return dict(found.select("image_id", "match").rows())


def test_one_page_in_two_sources_is_the_same_page_and_the_next_is_not() -> None:
    assert matches(("danbooru-1-0", "77", 0), ("niji-77-0", "77", 0), ("niji-77-1", "77", 1)) == {
        "danbooru-1-0": "same_page",
        "niji-77-0": "same_page",
        "niji-77-1": "other_page",
    }


def test_where_a_page_is_not_known_it_may_be_any_page_of_the_other_source() -> None:
    assert matches(("danbooru-1-0", "77", None), ("niji-77-0", "77", 0), ("niji-77-1", "77", 1)) == {
        "danbooru-1-0": "page_unknown",
        "niji-77-0": "page_unknown",
        "niji-77-1": "page_unknown",
    }


def test_an_unknown_page_of_the_same_source_says_nothing_of_another_source() -> None:
    assert matches(("danbooru-1-0", "77", None), ("danbooru-2-0", "77", 4), ("niji-77-0", "77", 0)) == {
        "danbooru-1-0": "page_unknown",
        "danbooru-2-0": "other_page",
        "niji-77-0": "page_unknown",
    }


def test_a_work_that_one_source_has_twice_is_in_no_other_source() -> None:
    assert matches(("danbooru-1-0", "77", 0), ("danbooru-2-0", "77", 0), ("niji-5-0", "5", 0)) == {}


def test_all_sources_that_have_the_work_are_named() -> None:
    rows = [{"image_id": f"{name}-1-0", "pixiv_id": "1", "page": 0} for name in ("b", "c", "a")]

    assert same_works(PIXIV_WORKS.frame(rows).lazy()).collect()["sources"].to_list() == [["a", "b", "c"]] * 3
