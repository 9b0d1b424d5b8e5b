"""Takedowns in real runs: out of every table and file, nothing else computed, never in again, and back when lifted."""

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from dataset_assets import cli, cli_takedown, search, takedown
from dataset_assets.domain.takedowns import Takedown
from dataset_assets.rebuild import Outcome, Rebuild
from dataset_assets.storage.tables import Cell
from dataset_assets.storage.takedown_files import TakedownFiles
from dataset_assets.takedown_holdings import RECORDS
from dataset_assets.takedown_removal import DONE, is_finished
from dataset_assets.trace import trace
from dataset_assets_tests.mirror import MAIN_LINE, Mirror, picture

ID, TWIN = "danbooru-5500-0", "pixiv_niji-77-0"
PICTURE = picture(7700)  # of page 0 of work 77, too
SOME = (*MAIN_LINE, "takedowns", "tag_index", "source_annotations", "captions", "published_embeddings", "vector_index")
PER_IMAGE = {"raw_images", "image_facts", "training_images", "clip_embeddings", "subset/girls", "subset/everything"}


def small(folder: Path) -> Mirror:
    """Two years of Danbooru and one of Pixiv; one picture is in both sources, in one file."""
    mirror = Mirror.make(folder, posts_by_year=2)
    settings = mirror.config_file.read_text("utf-8").replace("2005..2007", "2005..2006")
    mirror.config_file.write_text(settings, "utf-8")
    mirror.add_post(5500, 2005, ["1girl", "tag_x"], data=PICTURE)
    mirror.write_metadata()
    return mirror


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """Not built, for what writes nothing."""
    return small(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    mirror = small(tmp_path_factory.mktemp("taken"))
    mirror.assets = SOME
    mirror.rebuild()
    return mirror


@pytest.fixture
def mirror(built: Mirror, tmp_path: Path) -> Mirror:
    """The same dataset once more, for one test."""
    shutil.copytree(built.folder, tmp_path / "copy")
    return Mirror(tmp_path / "copy", dict(built.posts), assets=SOME)


def request(mirror: Mirror, kind: str = "image", value: str = ID, **fields: Any) -> Takedown:
    asked = takedown.Asked(kind, value, "the artist asked", "ada", **fields)  # type: ignore[arg-type]
    return takedown.resolved(mirror.config, asked)


def take_out(mirror: Mirror, *requests: Takedown) -> list[Outcome]:
    """What `takedown apply` runs."""
    work = Rebuild(mirror.definitions, mirror.config, mirror.instance, lambda line: None, takedowns_only=True)
    assets = cli_takedown.tables_behind_takedowns(mirror.config, mirror.definitions)
    outcomes = list(work.run(takedown.cells_to_rebuild(mirror.config, requests), assets))
    assert not [error for outcome in outcomes for error in outcome.errors]
    return outcomes


def files_below(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def tables_with(mirror: Mirror, image_id: str) -> set[str]:
    """The tables that say that an image is there: records of it aside."""
    found = set()
    for name in mirror.tables.names():
        if name in (*RECORDS, "takedowns", "catalog"):
            continue
        rows = mirror.table(name)
        if "image_id" not in rows.columns:
            continue
        rows = rows.filter(pl.col("image_id") == image_id)
        rows = rows.filter(pl.col("drop_reason").is_null()) if "drop_reason" in rows.columns else rows
        found |= {name} if rows.height and not (name == "raw_images" and rows["path"].null_count()) else set()
    return found


def states(mirror: Mirror) -> dict[str, str]:
    rows = mirror.table("raw_images")
    return dict(rows.select("image_id", pl.coalesce("reason", "state")).iter_rows())


def again(data: bytes) -> bytes:
    """The same pixels in another file."""
    with Image.open(io.BytesIO(data)) as image, io.BytesIO() as buffer:
        image.save(buffer, "PNG", compress_level=0)
        return buffer.getvalue()


@pytest.mark.slow
def test_a_takedown_empties_every_table_computes_nothing_and_holds_against_a_new_scrape(tmp_path: Path) -> None:
    mirror = small(tmp_path)
    mirror.assets = SOME
    mirror.rebuild()
    assert tables_with(mirror, ID) == PER_IMAGE
    a_dry_run_writes_nothing(mirror)
    it_goes_and_stays_away(mirror)


def a_dry_run_writes_nothing(mirror: Mirror) -> None:
    code, output = run(mirror, "add", "--image", ID, "--reason", "asked", "--dry-run")

    assert code == 0
    assert "would hit 2 images" in output
    assert f"{TWIN}  by its sha256" in output
    assert TakedownFiles(mirror.root).all() == []


@pytest.mark.slow
def test_the_same_of_all_that_a_rebuild_makes(tmp_path: Path) -> None:
    mirror = small(tmp_path)
    mirror.rebuild()
    assert tables_with(mirror, ID) == PER_IMAGE | {"picture_hashes", "near_duplicates"}
    it_goes_and_stays_away(mirror)


def it_goes_and_stays_away(mirror: Mirror) -> None:
    others = {name: mirror.table(name) for name in ("raw_images", "image_facts", "training_images", "clip_embeddings")}
    elsewhere = {name: mirror.commits(name)[Cell("danbooru", 2006)] for name in [*others, "tag_index", "captions"]}
    before, originals = files_below(mirror.root), files_below(mirror.folder / "original")

    one = request(mirror, replacement="https://example.org/new.png")
    assert {hit.image_id: hit.met_by for hit in one.found} == {ID: "image", TWIN: "sha256"}
    takedown.add(mirror.config, one)
    outcomes = take_out(mirror, one)

    assert sum(outcome.computed for outcome in outcomes) == 0, "rows are carried over, none is made"
    for image_id in (ID, TWIN):
        assert tables_with(mirror, image_id) == set()
        assert states(mirror)[image_id] == "taken_down"
    for name, rows in others.items():
        left = rows.filter(~pl.col("image_id").is_in([ID, TWIN]))
        now = mirror.table(name).filter(~pl.col("image_id").is_in([ID, TWIN]))
        assert now.equals(left), f"{name}: all other rows are the ones that were there"
    for name, commit in elsewhere.items():
        assert mirror.commits(name)[Cell("danbooru", 2006)] == commit, f"{name} of another year was not touched"
    assert search.search(mirror.config, "tag_x").collect().is_empty()
    assert search.find(mirror.config, "1girl").notes == []
    assert search.count(mirror.config, "1girl") == 4 + 2
    verdict = next(chapter.facts["verdict"] for chapter in trace(mirror.config, ID) if chapter.table == "subset/girls")
    assert "takedown" in verdict
    told = next(chapter.facts for chapter in trace(mirror.config, ID) if chapter.table == "takedowns")
    assert (told["reason"], told["replacement"]) == ("the artist asked", "https://example.org/new.png")

    proof = TakedownFiles(mirror.root).proof(one.id)
    assert proof is not None
    assert proof["state"] == DONE
    removed = {row["file"]: row["sha256"] for row in proof["removed"]}
    after = files_below(mirror.root)
    assert removed.items() <= before.items()
    assert not set(removed.values()) & set(after.values()), "no file has these bytes"
    assert {name.split("/")[1] for name in removed if name.startswith("images/")} == {"raw", "training"}
    assert len([name for name in removed if name.startswith("images/")]) == 4
    assert files_below(mirror.folder / "original") == originals, "a mirror is not ours to change"
    outside = {row["where"] for row in proof["still_held"] if row["what"] == "original"}
    assert any(place.endswith("5500.png") for place in outside)
    assert any("niji.zip!" in place for place in outside)

    a_new_scrape_brings_it_back(mirror, one)


def a_new_scrape_brings_it_back(mirror: Mirror, one: Takedown) -> None:
    """The file again, under another id, and re-encoded under a third."""
    mirror.image_file(5500).touch()
    mirror.add_post(6600, 2006, ["1girl", "tag_x"], data=PICTURE)
    mirror.add_post(6700, 2006, ["1girl", "tag_x"], data=again(PICTURE))
    mirror.write_metadata()

    outcomes = {str(outcome.cell): outcome for outcome in mirror.rebuild()}

    found = states(mirror)
    assert [found[name] for name in (ID, "danbooru-6600-0", "danbooru-6700-0")] == ["taken_down"] * 3
    for image_id in ("danbooru-6600-0", "danbooru-6700-0"):
        assert tables_with(mirror, image_id) == set()
        assert not list((mirror.root / "images").rglob(f"{image_id.split('-')[1]}_p0.*")), "its bytes did not stay"
    assert outcomes["danbooru|2005"].computed == 0
    assert search.search(mirror.config, "tag_x").collect().is_empty()
    (known,) = TakedownFiles(mirror.root).active()
    met = {hit.image_id: hit.met_by for hit in reversed(known.found)}
    # The same bytes are known before a byte is read, since the record claims their MD5.
    assert met["danbooru-6600-0"] == "md5"
    assert met["danbooru-6700-0"] == "pixel_hash"
    assert is_finished(mirror.config, known, TakedownFiles(mirror.root).proof(one.id))
    assert sum(outcome.computed for outcome in mirror.rebuild()) == 0, "and there it rests"


@pytest.mark.slow
def test_a_takedown_that_is_lifted_comes_back_on_the_next_rebuild(mirror: Mirror) -> None:
    mirror.rebuild()  # the copy's files lie elsewhere
    one = request(mirror)
    before = {name: mirror.table(name) for name in ("raw_images", "image_facts", "training_images", "captions")}
    takedown.add(mirror.config, one)
    take_out(mirror, one)

    second = request(mirror)
    assert second.hashes("pixel_hash") == one.hashes("pixel_hash"), "what the tables forgot, the first request knows"
    assert second.hashes("sha256") == one.hashes("sha256")

    takedown.lift(mirror.config, one.id[:12], "bob", "the artist agreed")
    mirror.rebuild()

    for name, rows in before.items():
        assert mirror.table(name).equals(rows), name
    assert tables_with(mirror, ID) >= {"raw_images", "clip_embeddings", "subset/girls"}
    assert search.count(mirror.config, "tag_x") == 1


@pytest.mark.slow
def test_a_record_without_its_removal_is_finished_by_apply_or_by_the_next_rebuild(mirror: Mirror) -> None:
    one = request(mirror)
    TakedownFiles(mirror.root).add([one.line()])  # the process died right after

    mirror.rebuild()

    proof = TakedownFiles(mirror.root).proof(one.id)
    assert proof is not None
    assert proof["state"] == DONE
    assert len([row for row in proof["removed"] if row["file"].startswith("images/")]) == 4
    assert tables_with(mirror, ID) == set()


@pytest.mark.slow
def test_a_removal_that_was_stopped_is_finished_and_its_proof_is_whole(mirror: Mirror) -> None:
    one = request(mirror)
    takedown.add(mirror.config, one)
    noted = TakedownFiles(mirror.root).proof(one.id)
    assert noted is not None
    assert noted["state"] == "open"
    (mirror.root / noted["planned"][0]["file"]).unlink()  # as if killed after the first

    take_out(mirror, one)

    proof = TakedownFiles(mirror.root).proof(one.id)
    assert proof is not None
    assert proof["state"] == DONE
    assert {row["file"] for row in noted["planned"]} <= {row["file"] for row in proof["removed"]}
    assert {row["table"] for row in proof["tables"]} >= {"clip_embeddings", "raw_images", "subset/girls"}


@pytest.mark.slow
def test_releases_that_have_the_image_are_named_and_left_alone(mirror: Mirror) -> None:
    one = request(mirror)
    release = mirror.root / "releases" / "first" / "members.parquet"
    release.parent.mkdir(parents=True)
    columns = ("image_id", "pixel_hash", "original_sha256")
    pl.DataFrame([("other-1-0", "0", one.found[0].sha256)], schema=columns, orient="row").write_parquet(release)
    (release.parent / "1.png").write_bytes(PICTURE)
    takedown.add(mirror.config, one)

    take_out(mirror, one)

    proof = TakedownFiles(mirror.root).proof(one.id)
    assert proof is not None
    held = {row["where"]: row["why"] for row in proof["still_held"] if row["what"] == "release"}
    assert "release withdraw first" in held["releases/first: other-1-0"]
    assert held["releases/first/1.png"] == "published"
    assert release.exists()


@pytest.mark.slow
def test_all_of_an_artist_goes_and_what_comes_later_too(mirror: Mirror) -> None:
    one = request(mirror, "artist", "画家")
    assert {hit.image_id for hit in one.found} == {ID, TWIN, "pixiv_niji-77-1", "pixiv_niji-78-0"}
    assert one.accounts == {("pixiv_niji", "5")}
    takedown.add(mirror.config, one)
    take_out(mirror, one)
    mirror.write_niji([(77, 0), (77, 1), (78, 0), (79, 0)])

    mirror.rebuild()

    found = states(mirror)
    assert found["pixiv_niji-79-0"] == "taken_down"
    assert not list((mirror.root / "images" / "raw" / "pixiv_niji").rglob("*.png"))
    assert found["danbooru-5000-0"] == "stored"


@pytest.mark.slow
def test_an_original_that_is_only_referred_to_stays_where_it_is(tmp_path: Path) -> None:
    mirror = small(tmp_path)
    settings = mirror.config_file.read_text("utf-8").replace("store: copy", "store: reference")
    mirror.config_file.write_text(settings, "utf-8")
    mirror.rebuild()
    one = request(mirror)
    takedown.add(mirror.config, one)

    take_out(mirror, one)

    assert mirror.image_file(5500).exists()
    proof = TakedownFiles(mirror.root).proof(one.id)
    assert proof is not None
    assert proof["state"] == DONE
    assert str(mirror.image_file(5500)) in {row["where"] for row in proof["still_held"]}
    assert tables_with(mirror, ID) == set()


def run(mirror: Mirror, *arguments: str) -> tuple[int, str]:
    environment = {"DATASET_ASSETS_CONFIG": str(mirror.config_file), "DAGSTER_HOME": str(mirror.folder / "home")}
    done = CliRunner().invoke(cli.app, ["takedown", *arguments], env=environment)
    said = done.output + (str(done.exception) if done.exception else "")
    return (2 if isinstance(done.exception, cli.ConfigError) else done.exit_code), said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "--image", "../x", "--reason", "r"), "is not an image id"),
        (("add", "--sha256", "abc", "--reason", "r"), "expected 64 hex digits, found 3"),
        (("add", "--pixel-hash", "g" * 64, "--reason", "r"), "expected 64 hex digits"),
        (("add", "--artist", "x", "--source", "nowhere", "--reason", "r"), "there is no source 'nowhere'"),
        (("add", "--image", ID, "--source", "danbooru", "--reason", "r"), "--source says where an artist's name"),
        (("add", "--image", ID, "--artist", "x", "--reason", "r"), "name one of --image"),
        (("add", "--reason", "r"), "name one of --image"),
        (("add", "--image", ID, "--reason", " "), "reason: expected a line"),
        (("add", "--image", ID, "--reason", "r", "--replacement", "javascript:1"), "expected an http"),
        (("add", "--image", ID), "Missing option"),
        (("lift", "nobody", "--reason", "r"), "no takedown of that name: 'nobody'"),
        (("proof", "nobody"), "no takedown of that name"),
        (("apply", "nobody"), "no takedown of that name"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_writes_nothing(
    plain: Mirror, arguments: tuple[str, ...], said: str
) -> None:
    code, output = run(plain, *arguments)

    assert code == 2
    assert said in " ".join(output.split())
    assert TakedownFiles(plain.root).all() == []


def test_an_image_that_no_table_knows_is_written_down_and_listed(tmp_path: Path) -> None:
    mirror = small(tmp_path)
    code, output = run(
        mirror, "add", "--image", "danbooru-999999-0", "--reason", 'it\'s "his"', "--who", "ada", "--later"
    )
    assert code == 0
    assert "no table knows it yet" in output

    (row,) = json.loads(run(mirror, "list", "--json")[1])
    assert (row["value"], row["reason"], row["state"], row["images"]) == ("danbooru-999999-0", 'it\'s "his"', "open", 1)
    assert run(mirror, "proof", row["id"])[0] == 0
    assert run(mirror, "lift", row["id"], "--reason", "no")[0] == 0
    assert "lifted" in run(mirror, "list")[1]
    assert run(mirror, "lift", row["id"], "--reason", "no")[0] == 2
    assert run(mirror, "apply")[1].strip() == "nothing is left to do"


@pytest.mark.slow
def test_a_damaged_file_of_requests_stops_what_it_might_let_in(mirror: Mirror) -> None:
    (mirror.root / "takedowns").mkdir()
    (mirror.root / "takedowns" / "1.jsonl").write_text("{half a li", "utf-8")

    outcomes = mirror.rebuild(strict=False, assets=["takedowns", "raw_images"])

    errors = [error for outcome in outcomes for error in outcome.errors]
    assert any("takedowns/1.jsonl, line 1 is not JSON; mend the line, or take it out" in error for error in errors)
    assert run(mirror, "list")[0] == 2
