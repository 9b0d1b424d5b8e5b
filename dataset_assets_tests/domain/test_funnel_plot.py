"""Funnels as pictures."""

import io
from xml.etree import ElementTree

import polars as pl
import pytest
from PIL import Image

from dataset_assets.domain.funnel_plot import LEFT_COLOUR, MOST_GROUPS, WIDTH, Form, funnel_plot, groups_plot

FUNNEL = pl.DataFrame({"rule": ["candidates", "tags", "where"], "dropped": [0, 60, 20], "left": [100, 40, 20]})
GROUPS = pl.DataFrame(
    {"group": ["2019", "2020"], "candidates": [60, 40], "tags": [40, 20], "where": [0, 20], "kept": [20, 0]}
)
SPACE = "{http://www.w3.org/2000/svg}"


def bars(picture: bytes, colour: str) -> list[float]:
    found = ElementTree.fromstring(picture).findall(f"{SPACE}rect[@fill='{colour}']")
    return [float(bar.attrib["width"]) for bar in found]


def words(picture: bytes) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(picture).findall(f"{SPACE}text")]


def test_bars_are_as_long_as_what_is_left() -> None:
    whole, tags, where = bars(funnel_plot(FUNNEL, "sfw", "svg"), LEFT_COLOUR)

    assert whole == pytest.approx(2.5 * tags) == pytest.approx(5 * where)


def test_the_picture_names_each_rule_and_its_numbers() -> None:
    said = words(funnel_plot(FUNNEL, "sfw: 20 of 100 images", "svg"))

    assert {"sfw: 20 of 100 images", "candidates", "tags", "where", "40 left", "-60", "-20"} <= set(said)


def test_an_earlier_funnel_stands_beneath() -> None:
    earlier = FUNNEL.with_columns(left=pl.Series([100, 100, 50]))

    assert "before" in words(funnel_plot(FUNNEL, "sfw", "svg", earlier))
    assert "before" not in words(funnel_plot(FUNNEL, "sfw", "svg"))


def test_a_group_shows_the_shares_of_each_rule_that_drops_any() -> None:
    said = words(
        groups_plot(
            GROUPS.with_columns(source=0).select("group", "candidates", "source", "tags", "where", "kept"), "sfw", "svg"
        )
    )

    assert {"kept", "tags", "where", "2019", "20 of 60", "2020", "0 of 40"} <= set(said)
    assert "source" not in said


def test_of_too_many_groups_the_first_are_drawn_and_it_says_so() -> None:
    many = pl.DataFrame({"group": [str(number) for number in range(200)]}).with_columns(
        candidates=pl.lit(1, pl.Int64), kept=pl.lit(1, pl.Int64)
    )

    assert f"the first {MOST_GROUPS} of 200" in words(groups_plot(many, "sfw", "svg"))[0]


@pytest.mark.parametrize("funnel", [FUNNEL, FUNNEL.with_columns(left=0, dropped=0), FUNNEL.head(1)])
def test_a_png_is_small_and_opens(funnel: pl.DataFrame) -> None:
    picture = funnel_plot(funnel, "sfw")

    assert len(picture) < 60_000
    with Image.open(io.BytesIO(picture)) as image:
        assert image.width == WIDTH
        image.load()


@pytest.mark.parametrize("form", ["png", "svg"])
def test_equal_funnels_give_equal_pictures(form: Form) -> None:
    assert funnel_plot(FUNNEL, "sfw", form) == funnel_plot(FUNNEL.clone(), "sfw", form)
    assert groups_plot(GROUPS, "sfw", form) == groups_plot(GROUPS.clone(), "sfw", form)


def test_a_name_cannot_leave_its_place() -> None:
    hostile = GROUPS.with_columns(group=pl.Series(["<script>alert(1)</script>", "a\x00b&"]))
    picture = groups_plot(hostile, "<b>", "svg")

    assert b"<script>" not in picture
    assert "a b&" in words(picture)
