"""Files lost or damaged in the root: said, never carried over, made again."""

from pathlib import Path

import pytest

from dataset_assets.overview import damage, states_by_cell
from dataset_assets.rebuild import Rebuild
from dataset_assets.storage.durable import sha256_of
from dataset_assets.storage.tables import Cell
from dataset_assets.trace import trace
from dataset_assets_tests.mirror import MAIN_LINE, Mirror

CELL = Cell("danbooru", 2006)

pytestmark = pytest.mark.slow  # a rebuild of every table for each case


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    made = Mirror.make(tmp_path, posts_by_year=1)
    made.assets = MAIN_LINE
    made.rebuild()
    return made


@pytest.mark.parametrize(
    "table",
    ["image_facts", "image_metadata", "subset/girls"],
)
def test_a_table_cut_short_is_said_and_made_again_to_the_same_bytes(mirror: Mirror, table: str) -> None:
    file = mirror.tables.file(table, CELL)
    whole = sha256_of(file)
    file.write_bytes(file.read_bytes()[:500])

    assert damage(mirror.config) == [f"{table} danbooru|2006: its table is gone or was changed"]
    assert states_by_cell(mirror.config, mirror.config.cells())
    assert trace(mirror.config, "danbooru-6000-0")
    mirror.rebuild()
    assert sha256_of(file) == whole
    assert damage(mirror.config) == []


@pytest.mark.slow
def test_rows_of_a_table_with_a_flipped_bit_are_not_carried_over(mirror: Mirror) -> None:
    file = mirror.tables.file("image_facts", CELL)
    whole = file.read_bytes()
    file.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    outcomes = mirror.rebuild(everything=True)

    assert file.read_bytes() == whole
    assert sum(outcome.computed for outcome in outcomes) == 1


@pytest.mark.parametrize("table", ["training_images", "raw_images"])
def test_a_deleted_image_is_made_again(mirror: Mirror, table: str) -> None:
    file = mirror.root / mirror.table(table, CELL).item(0, "path")
    whole = file.read_bytes()
    file.unlink()
    mirror.rebuild(everything=True)

    assert file.read_bytes() == whole


@pytest.mark.slow
def test_two_rebuilds_of_one_cell_do_not_take_its_tables_from_one_another(mirror: Mirror) -> None:
    with mirror.tables.lock("_rebuild", CELL):
        work = Rebuild(mirror.definitions, mirror.config, mirror.instance, lambda line: None)
        [outcome] = [outcome for outcome in work.run([("danbooru", 2006)]) if outcome.cell == CELL]

    assert outcome.is_locked
    assert outcome.assets == []
