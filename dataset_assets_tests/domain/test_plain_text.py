from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.plain_text import columns, in_bytes, in_cell, is_quantity, printable, share, signed, table


def test_columns_stand_under_one_another_in_any_script() -> None:
    lines = table(("tag", "images"), [("女の子", 5), ("1girl", 1000)])

    assert [columns(line) for line in lines] == [14, 14, 14]
    assert lines[2] == "1girl    1,000"


def test_sizes_and_shares_are_said_for_people() -> None:
    assert [in_bytes(size) for size in (0, 999, 1500, 413_000_000_000)] == ["0 B", "999 B", "1.5 kB", "413 GB"]
    assert [share(part, 10_000) for part in (0, 1, 5_000, 9_999, 10_000)] == [
        "0.0 %", "<0.1 %", "50.0 %", ">99.9 %", "100.0 %",
    ]  # fmt: skip
    assert share(0, 0) == "-"


@given(st.text())
def test_nothing_that_is_printed_steers_a_terminal(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)


@given(st.lists(st.tuples(st.text(max_size=200), st.integers()), min_size=1))
def test_a_table_has_a_line_for_each_row(rows: list[tuple[str, int]]) -> None:
    assert len(table(("", "n"), rows)) == len(rows) + 1


def test_a_long_cell_is_cut() -> None:
    assert len(in_cell("w" * 5000)) == 160
    assert in_cell("w" * 5000).endswith("…")


def test_quantities_are_told_from_words() -> None:
    assert all(map(is_quantity, [1, 2.5, None, "5.0 %", "<0.1 %", "412.8 MB", "+1,006", "-3"]))
    assert not any(map(is_quantity, ["", "1girl", "2019", "5 apples", "%", "2019-01"]))


def test_differences_have_a_sign() -> None:
    assert (signed(392_557), signed(0), signed(-5)) == ("+392,557", "+0", "-5")
    assert signed(-413_000_000_000, in_bytes) == "-413 GB"
