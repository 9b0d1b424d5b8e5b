from datetime import UTC, date, datetime

import polars as pl
import pytest

from dataset_assets.domain.collection_window import is_outside, window_in_name
from dataset_assets.domain.schemas import TIME

NIJI = (date(2022, 11, 6), date(2022, 12, 22))


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("nijijourney_pixiv_2022110620221222_raw.zip", NIJI),
        ("nijijourney_pixiv_2022110620221222_*.zip", NIJI),
        ("2022122220221106.zip", None),
        ("2022130620221222.zip", None),
        ("12022110620221222.zip", None),
        ("niji.zip", None),
    ],
)
def test_two_dates_in_a_name_are_a_window(name: str, window: tuple[date, date] | None) -> None:
    assert window_in_name(name) == window


def test_days_are_japans_and_both_ends_are_within() -> None:
    moments = [
        datetime(2022, 11, 5, 14, 59, tzinfo=UTC),  # 23:59 in Japan, the day before
        datetime(2022, 11, 5, 15, 0, tzinfo=UTC),
        datetime(2022, 12, 22, 14, 59, tzinfo=UTC),
        datetime(2022, 12, 22, 15, 0, tzinfo=UTC),
        None,
    ]
    rows = pl.DataFrame({"created_at": moments}, schema={"created_at": TIME})

    assert rows.select(is_outside(NIJI)).to_series().to_list() == [True, False, False, True, None]
