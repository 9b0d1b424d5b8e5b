import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dataset_assets.exports.members import MemberLost, Row
from dataset_assets.exports.read_ahead import BYTES_AT_ONCE, READ_AT_ONCE, read_ahead
from dataset_assets_tests.exports.hostile_members import counted, hostile_members


def test_images_come_in_the_order_of_their_rows() -> None:
    members = hostile_members()
    rows = list(members.rows())

    assert [(row["image_id"], data) for row, data in read_ahead(members, rows)] == [
        (row["image_id"], members.read(row)) for row in rows
    ]


def test_eight_large_images_are_waited_for_at_once() -> None:
    members, all_there = hostile_members(), threading.Barrier(READ_AT_ONCE, timeout=20)

    def read(path: str) -> bytes:
        all_there.wait()
        return members.read_path(path)

    rows = [row | {"size": BYTES_AT_ONCE} for row in list(members.rows())[:READ_AT_ONCE]]

    assert len(list(read_ahead(replace(members, read_path=read), rows))) == READ_AT_ONCE


def test_large_images_are_never_all_held() -> None:
    members, reads, taken = hostile_members(), list[str](), list[int]()

    def rows() -> Iterator[Row]:
        for row in members.rows():
            taken.append(1)
            yield row | {"size": BYTES_AT_ONCE}

    for number, _ in enumerate(read_ahead(counted(members, reads), rows())):
        assert len(reads) <= number + READ_AT_ONCE + 1
        assert len(taken) <= number + READ_AT_ONCE + 3


def test_a_lost_image_is_told_of_where_its_turn_comes() -> None:
    members, found = hostile_members(), []
    rows = list(members.rows())
    rows[5]["path"] = "gone.png"

    with pytest.raises(MemberLost, match=rows[5]["image_id"]):
        found.extend(read_ahead(members, [row | {"size": BYTES_AT_ONCE} for row in rows]))
    assert len(found) == 5
