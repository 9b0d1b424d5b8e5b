from datetime import timedelta
from typing import Any

import pytest

from dataset_assets.compute.fetch_inputs import MODES, Mode, is_settled, parse_mode, with_what_is_held
from dataset_assets.domain.schemas import RAW_IMAGES
from dataset_assets_tests.fetching import START, located, settings

LATER, EARLIER = START + timedelta(hours=1), START - timedelta(hours=1)
HASH = "0" * 32


def row(**values: Any) -> dict[str, Any]:
    return {"image_id": "pd12m-1-0", "location": "https://a.example/1", **values}


def settled(values: dict[str, Any], mode: Mode = "due", *placeholders: str) -> bool:
    rows = RAW_IMAGES.frame([values])
    return not rows.filter(is_settled(settings(placeholders=placeholders), mode, START)).is_empty()


@pytest.mark.parametrize(("at", "expected"), [(LATER, True), (EARLIER, False), (START, False), (None, False)])
def test_a_pending_file_waits_for_its_time(at: Any, expected: bool) -> None:
    pending = row(state="pending", reason="server_error", next_try_at=at)

    assert settled(pending) is expected
    assert not settled(pending, "retry")


@pytest.mark.parametrize(("state", "reason"), [("stored", None), ("quarantined", "gone"), ("excluded", "opted_out")])
def test_what_is_settled_is_asked_for_only_with_everything(state: str, reason: str | None) -> None:
    found = row(state=state, reason=reason, md5=HASH)

    assert settled(found)
    assert settled(found, "retry")
    assert not settled(found, "again")


def test_the_list_of_placeholders_counts_as_it_is_now() -> None:
    stored, withheld = row(state="stored", md5=HASH), row(state="excluded", reason="withheld", md5=HASH)
    hidden = row(state="excluded", reason="withheld", location=None)

    assert not settled(stored, "due", HASH)
    assert settled(withheld, "due", HASH)
    assert not settled(withheld)
    assert settled(hidden)


def test_what_is_held_counts_for_the_same_address_alone() -> None:
    held = row(state="stored", path="images/1.png", size=5, etag='"v1"', md5=HASH, attempts=3)
    tried = row(state="pending", reason="cut_off", attempts=2) | {"image_id": "pd12m-2-0"}
    previous = RAW_IMAGES.frame([held, tried])

    same = with_what_is_held(located({"1": "https://a.example/1", "2": "https://a.example/1"}), previous.lazy())
    moved = with_what_is_held(located({"1": "https://a.example/other"}), previous.lazy())

    assert same.sort("image_id").select("held_path", "held_etag", "attempts").rows() == [
        ("images/1.png", '"v1"', None),
        (None, None, 2),
    ]
    assert moved["held_path"].to_list() == [None]
    assert set(same["input_key"]) == {"https://a.example/1 -"}


def test_a_table_of_an_older_version_holds_nothing() -> None:
    older = RAW_IMAGES.frame([row(state="stored", path="a")]).drop("etag").lazy()

    assert with_what_is_held(located({"1": "https://a.example/1"}), older)["held_path"].to_list() == [None]


def test_a_mode_is_one_of_three() -> None:
    assert [parse_mode(mode) for mode in MODES] == ["due", "retry", "again"]
    with pytest.raises(ValueError, match="'now' is none of due, retry, again"):
        parse_mode("now")
