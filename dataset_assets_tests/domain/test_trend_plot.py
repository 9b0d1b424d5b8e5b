import io

import polars as pl
from PIL import Image, ImageColor

from dataset_assets.domain.trend_plot import HEIGHT, MAX_LINES, PALETTE, WIDTH, trend_plot


def made_up_trend(tags: int, years: int, share: float | None = None) -> pl.DataFrame:
    rows = [(f"tag_{tag}", 2005 + year, (tag + 1) * (year + 1), share) for tag in range(tags) for year in range(years)]
    schema = {"tag": pl.String, "year": pl.Int32, "images": pl.Int64, "share": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def colours(plot: bytes) -> set[object]:
    with Image.open(io.BytesIO(plot)) as image:
        assert (image.format, image.size) == ("PNG", (WIDTH, HEIGHT))
        return {colour for _, colour in image.convert("RGB").getcolors(1 << 20) or []}


def test_plot_has_a_colour_for_each_tag_and_no_other() -> None:
    shown = colours(trend_plot(made_up_trend(3, 17)))
    assert [ImageColor.getrgb(colour) in shown for colour in PALETTE] == [True] * 3 + [False] * (MAX_LINES - 3)


def test_plot_of_many_tags_and_years_is_small() -> None:
    plot = trend_plot(made_up_trend(40, 60))
    assert len(plot) < 60_000
    assert all(ImageColor.getrgb(colour) in colours(plot) for colour in PALETTE)


def test_plot_is_of_equal_bytes_for_equal_rows_in_any_order() -> None:
    rows = made_up_trend(5, 8, 0.25)
    assert trend_plot(rows) == trend_plot(rows.reverse())


def test_plot_shows_what_it_can_of_odd_trends() -> None:
    gaps = made_up_trend(2, 9).with_columns(share=pl.when(pl.col("year") != 2008).then(pl.col("images") / 1000))
    zeros = made_up_trend(2, 3, 0.0).with_columns(images=pl.lit(0, pl.Int64))
    long_name = made_up_trend(1, 4).with_columns(tag=pl.lit("very_long_" * 40))

    for rows in (gaps, zeros, long_name, made_up_trend(1, 1)):
        assert ImageColor.getrgb(PALETTE[0]) in colours(trend_plot(rows))
    assert len(colours(trend_plot(made_up_trend(0, 0)))) > 1, "an empty plot says that it is empty"
