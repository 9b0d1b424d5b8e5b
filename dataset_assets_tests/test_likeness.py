"""Search by text and by likeness over a dataset that Dagster built: with indexes, without, and with damaged ones."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from dataset_assets.cli import app
from dataset_assets.config import ConfigError
from dataset_assets.domain.vector_index import layout_of
from dataset_assets.likeness import LikenessError, alike
from dataset_assets.models.clip_text import embed_texts
from dataset_assets.models.clip_weights import ClipSettings
from dataset_assets.models.weight_files import ModelError
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror
from dataset_assets_tests.models.tiny_models import TINY_CLIP, make_local_dir

CELL = Cell("danbooru", 2006)
WANTED = ["source_snapshot", "rejected_records", "tag_relations", "image_metadata", "tag_metadata", "tag_index"]
WANTED += ["raw_images", "image_facts", "training_images", "clip_embeddings", "vector_index"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """With a model that reads texts."""
    mirror = Mirror.make(tmp_path_factory.mktemp("alike"))
    shutil.rmtree(mirror.folder / "tiny-clip-random")
    make_local_dir(mirror.folder / "tiny-clip-random", TINY_CLIP)
    mirror.rebuild(assets=WANTED)
    return mirror


@pytest.fixture
def mirror(built: Mirror, tmp_path: Path) -> Mirror:
    """A copy whose files a test may damage."""
    shutil.copytree(built.folder, tmp_path / "copy", dirs_exist_ok=True)
    return Mirror(tmp_path / "copy", built.posts)


def ranked(mirror: Mirror, query: np.ndarray, wanted: set[str] | None = None) -> list[str]:
    """Brute force over the table."""
    rows = mirror.table("clip_embeddings").sort("source", "year", "image_id")
    cosines = rows.get_column("embedding").to_numpy().astype(np.float32) @ query
    order = sorted(range(rows.height), key=lambda row: -round(float(cosines[row]), 5))
    ids = [rows.item(row, "image_id") for row in order]
    return [one for one in ids if wanted is None or one in wanted]


def vector_of(mirror: Mirror, image_id: str) -> np.ndarray:
    rows = mirror.table("clip_embeddings").filter(image_id=image_id)
    return np.asarray(rows.get_column("embedding").to_numpy()[0], np.float32)


def test_a_text_finds_what_a_scan_of_all_vectors_finds(built: Mirror) -> None:
    settings = ClipSettings("local-dir:tiny-clip-random", None, "cpu", 4, True, built.folder)
    expected = ranked(built, embed_texts(settings, ["a girl"])[0])

    for exact in (False, True):
        found = alike(built.config, text="a girl", limit=5, exact=exact)
        assert found.rows.get_column("image_id").to_list() == expected[:5]
        assert found.notes == ["the model's weights are random: the order of these images means nothing"]
    assert found.rows.get_column("cosine").is_sorted(descending=True)


def test_an_image_finds_its_like_but_not_itself_and_its_own_file_finds_it_first(built: Mirror) -> None:
    own, expected = "danbooru-6001-0", ranked(built, vector_of(built, "danbooru-6001-0"))

    by_id = alike(built.config, like=own, limit=4)
    by_file = alike(built.config, like=built.image_file(6001), limit=4)

    assert by_id.rows.get_column("image_id").to_list() == [one for one in expected if one != own][:4]
    assert by_file.rows.item(0, "image_id") == own
    assert by_file.rows.item(0, "cosine") == pytest.approx(1, abs=2e-3)


def test_filters_narrow_what_is_ranked_and_never_leave_fewer_than_there_are(built: Mirror) -> None:
    vector = vector_of(built, "danbooru-5000-0")
    wanted = {f"danbooru-{year}00{number}-0" for year in (5, 6, 7) for number in (1, 2)}

    found = alike(built.config, like="danbooru-5000-0", query="1girl -tag_0", where="width >= 32 and score = 7")
    assert found.rows.get_column("image_id").to_list() == ranked(built, vector, wanted)

    narrow = alike(built.config, like="danbooru-5000-0", query="tag_1", sources=["danbooru"], years=[2006])
    assert narrow.rows.get_column("image_id").to_list() == ["danbooru-6001-0"]
    assert alike(built.config, like="danbooru-5000-0", where="width > 5000").rows.is_empty()


def test_a_changed_vector_in_an_index_is_noticed_and_the_table_answers(mirror: Mirror) -> None:
    expected = alike(mirror.config, like="danbooru-5000-0").rows
    listed = mirror.table("vector_index", CELL)
    file = mirror.root / listed.item(0, "path")
    data = bytearray(file.read_bytes())
    data[layout_of(listed.item(0, "dimensions"), listed.item(0, "vectors"), 1).vectors.start + 3] ^= 1
    file.write_bytes(data)

    for exact in (False, True):
        found = alike(mirror.config, like="danbooru-5000-0", exact=exact)
        assert found.rows.equals(expected)
        assert "danbooru|2006: the index of vectors is damaged (1 of" in found.notes[0]
        assert "so the table was read; `dataset-assets rebuild --source danbooru --years 2006" in found.notes[0]


def test_a_cell_without_index_or_with_a_damaged_one_says_so_and_answers_alike(mirror: Mirror) -> None:
    expected = alike(mirror.config, like="danbooru-5000-0").rows
    file = mirror.root / mirror.table("vector_index", CELL).item(0, "path")

    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    damaged = alike(mirror.config, like="danbooru-5000-0")
    file.write_bytes(data[:100])
    short = alike(mirror.config, like="danbooru-5000-0")
    mirror.tables.file("vector_index", CELL).unlink()
    (mirror.root / "_checksums/vector_index/source=danbooru/year=2006/data.json").unlink()
    gone = alike(mirror.config, like="danbooru-5000-0")

    assert [found.rows.equals(expected) for found in (damaged, short, gone)] == [True, True, True]
    assert "danbooru|2006: the index of vectors is damaged" in damaged.notes[0]
    assert "damaged" in short.notes[0]
    assert "danbooru|2006: no index of vectors is built" in gone.notes[0]


@pytest.mark.slow
def test_a_changed_year_makes_its_own_index_anew_and_answers_as_one_made_afresh(mirror: Mirror) -> None:
    before = mirror.commits("vector_index")
    mirror.add_post(6003, 2006, ["1girl"])
    mirror.write_metadata()

    mirror.rebuild(assets=[name for name in WANTED if name != "vector_index"])
    stale = alike(mirror.config, like="danbooru-6003-0", limit=30)
    mirror.rebuild(assets=["vector_index"])
    fresh = alike(mirror.config, like="danbooru-6003-0", limit=30)

    assert "danbooru|2006: the index of vectors is older than clip_embeddings" in stale.notes[0]
    after = mirror.commits("vector_index")
    assert {cell for cell in after if after[cell].sha256 != before[cell].sha256} == {CELL}
    anew = mirror.with_root("anew")
    anew.rebuild(assets=WANTED)
    assert fresh.rows.equals(stale.rows)
    assert fresh.rows.equals(alike(anew.config, like="danbooru-6003-0", limit=30).rows)
    assert mirror.table("vector_index").equals(anew.table("vector_index"))


def test_a_lost_index_file_is_made_again_by_a_rebuild(mirror: Mirror) -> None:
    file = mirror.root / mirror.table("vector_index", CELL).item(0, "path")
    file.unlink()

    mirror.rebuild(assets=["vector_index"])

    assert file.is_file()
    assert not [note for note in alike(mirror.config, like="danbooru-5000-0").notes if "index" in note]


def test_another_model_than_the_tables_is_refused(mirror: Mirror) -> None:
    shutil.rmtree(mirror.folder / "tiny-clip-random")
    make_local_dir(mirror.folder / "tiny-clip-random", TINY_CLIP, seed=1)

    for asked in ({"text": "a girl"}, {"like": mirror.image_file(5000)}):
        with pytest.raises(LikenessError, match=r"clip_embeddings danbooru\|2005 was made by .*cannot be compared"):
            alike(mirror.config, **asked)
    mirror.rebuild(assets=["clip_embeddings"])
    settings = mirror.config_file.read_text("utf-8").replace("random_weights: true, ", "")
    mirror.config_file.write_text(settings, "utf-8")
    with pytest.raises(ModelError, match="random"):
        alike(mirror.config, text="a girl")


def test_years_of_different_models_are_not_compared(mirror: Mirror) -> None:
    rows = mirror.table("clip_embeddings", CELL).with_columns(recipe=pl.lit("another"))
    rows.write_parquet(mirror.tables.file("clip_embeddings", CELL))
    record = mirror.root / "_checksums/clip_embeddings/source=danbooru/year=2006/data.json"
    size = mirror.tables.file("clip_embeddings", CELL).stat().st_size
    record.write_text(json.dumps(json.loads(record.read_text()) | {"bytes": size}))

    with pytest.raises(LikenessError, match=r"danbooru\|2006 was made by .*recipe another"):
        alike(mirror.config, like="danbooru-5000-0")
    assert alike(mirror.config, like="danbooru-5000-0", years=[2005, 2007, 2022]).rows.height == 8


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "name a text or a likeness"),
        ({"text": "a", "like": "b"}, "one of the two"),
        ({"text": "  "}, "the text is empty"),
        ({"like": "danbooru-9-0"}, "no vector of danbooru-9-0"),
        ({"like": "nowhere.png"}, "no such file"),
        ({"text": "a", "published": True}, "no source publishes vectors; leave --published out"),
    ],
)
def test_what_cannot_be_answered_is_said(built: Mirror, asked: dict[str, object], said: str) -> None:
    with pytest.raises(LikenessError, match=said):
        alike(built.config, **asked)  # type: ignore[arg-type]


def run(mirror: Mirror, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(mirror.config_file))
    result = CliRunner().invoke(app, ["search", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_line_ranks_lists_and_draws(built: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid, page = tmp_path / "grid.png", tmp_path / "page.html"
    arguments = ["1girl", "--like", "danbooru-5000-0", "--limit", "3", "--grid", str(grid), "--html", str(page)]

    output = run(built, monkeypatch, *arguments)

    ids = alike(built.config, like="danbooru-5000-0", query="1girl", limit=3).rows.get_column("image_id").to_list()
    assert re.findall(r"^ *[-\d.]+  (\S+)$", output, re.MULTILINE) == ids
    with Image.open(grid) as sheet:
        assert sheet.format == "PNG"
    assert page.read_text("utf-8").count("data:image/jpeg") == 3
    answer = run(built, monkeypatch, "--text", "a girl", "--limit", "2", "--json")
    assert len(json.loads(answer)["images"]) == 2
    lines = run(built, monkeypatch, "--like", "danbooru-5000-0", "--csv").splitlines()
    assert len(lines) == 13  # a note, the columns, and eleven images
    assert run(built, monkeypatch, "1girl", "--where", "width > 5000", "--count").startswith("0 images")


def test_the_command_line_refuses_in_a_line(built: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(built.config_file))
    for arguments, said in (
        (["--like", "nowhere.png"], "no such file"),
        (["--where", "widht > 3"], "did you mean 'width'"),
        (["1girl", "--html", "x.html"], "--text or --like"),
        (["1girl", "--exact"], "--exact belongs to --like"),
        (["1girl", "--published"], "--published belongs to --like"),
        (["--like", "danbooru-5000-0", "--count"], "rank images and count none"),
        (["--text", "a girl", "--facets", "3"], "rank images and count none"),
    ):
        with pytest.raises(ConfigError, match=said):
            CliRunner().invoke(app, ["search", *arguments], catch_exceptions=False)
