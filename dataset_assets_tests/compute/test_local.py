import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import pytest

from dataset_assets.compute.engine import Row
from dataset_assets.compute.local import LocalEngine

ENGINE = LocalEngine(workers=2, row_timeout_s=1.0, batch_timeout_s=2.0)


def double_or_die(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Doubles a number; some rows kill their worker, hang it, or are a bug."""
    for row in rows:
        if row["do"] == "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        if row["do"] == "hang":
            time.sleep(60)
        if row["do"] == "bug":
            raise ZeroDivisionError("a bug")
    return [{"number": 2 * row["number"]} for row in rows]


def row(number: int, do: str = "work") -> Row:
    return {"number": number, "do": do}


def test_batches_come_back_whole_whatever_their_order() -> None:
    batches = [[row(10 * batch + index) for index in range(3)] for batch in range(7)]
    finished = {batch.index: batch for batch in ENGINE.run(double_or_die, batches)}

    assert sorted(finished) == list(range(7))
    assert [result["number"] for result in finished[4].results] == [80, 82, 84]


@pytest.mark.parametrize(("do", "loss"), [("die", "worker_died"), ("hang", "worker_timeout")])
def test_a_row_that_kills_or_hangs_its_worker_is_lost_alone(do: str, loss: str) -> None:
    batches = [[row(0), row(1, do), row(2)], [row(3)]]
    finished = {batch.index: batch for batch in ENGINE.run(double_or_die, batches)}

    assert [result["number"] for result in finished[0].results] == [0, 4]
    assert [(lost["number"], why) for lost, why in finished[0].lost] == [(1, loss)]
    assert [result["number"] for result in finished[1].results] == [6]


def test_a_bug_in_the_function_stops_the_run() -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(ENGINE.run(double_or_die, [[row(1, "bug")]]))


def test_few_batches_are_drawn_before_the_first_is_finished() -> None:
    drawn = 0

    def batches() -> Any:
        nonlocal drawn
        for number in range(100):
            drawn += 1
            yield [row(number)]

    next(iter(ENGINE.run(double_or_die, batches())))

    assert drawn <= 2 * ENGINE.workers
