"""What sources publish beside their records, through the graph: captions, tags, vectors, and what contradicts them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from dataset_assets import takedown
from dataset_assets.checks import has_as_many_records_as_its_publisher_says, is_of_the_days_that_were_scraped
from dataset_assets.config import ConfigError, Source
from dataset_assets.domain.schemas import TIME
from dataset_assets.rebuild import Rebuild
from dataset_assets.storage.tables import Cell
from dataset_assets.trace import trace
from dataset_assets_tests.mirror import Mirror, picture
from dataset_assets_tests.sources.scrapes import as_bytes, niji, put, sidecar, zipped

RAW = "nijijourney_pixiv_2022110620221222_raw.zip"
PREPROCESSED = "nijijourney_pixiv_2022110620221222_preprocessed.zip"
NIJI, NIJI_2022 = Cell("niji"), Cell("niji", 2022)
PD12M = Cell("pd12m", 2024)
READ = ["source_snapshot", "source_annotations", "image_metadata"]
PUBLISHED = ["captions", "published_tags", "published_embeddings"]
CLIP = 'clip: {model: "local-dir:tiny-clip-random", pretrained: null, random_weights: true}\n'


def niji_mirror(folder: Path, **keys: str) -> Mirror:
    """A dataset of one scrape, whose block has these keys besides."""
    mirror = Mirror(folder)
    block = {"kind": "gallery_dl", "years": "[2022]", "license": "{name: AGPL-3.0, basis: claimed}", **keys}
    lines = "".join(f"    {key}: {value}\n" for key, value in block.items())
    (folder / "dataset.yaml").write_text(f"sources:\n  niji:\n{lines}{CLIP}", "utf-8")
    return mirror


def preprocessed(*works: int, stem: str = "{}_p0") -> dict[str, bytes]:
    """Files of a preprocessed scrape as kohya's scripts leave it, one image for each work."""
    files: dict[str, bytes] = {}
    meta: dict[str, dict[str, Any]] = {}
    for work in works:
        name = stem.format(work)
        files[f"dataset/{name}.png"] = b"pixels"
        files[f"dataset/{name}.png.json"] = as_bytes(sidecar(work))
        files[f"dataset/{name}.txt"] = b"1girl, long_hair, cat_ears\n"
        files[f"dataset/{name}.caption"] = b"a woman with cat ears\n"
        meta[name] = {"caption": "a woman with cat ears", "tags": "1girl, long_hair, cat_ears"}
    clean = {key: {"caption": "a girl with cat ears", "tags": "1girl, long hair, cat ears"} for key in meta}
    caption = {key: {"caption": entry["caption"]} for key, entry in meta.items()}
    for name, content in (("meta_cap", caption), ("meta_dd", meta), ("meta_clean", clean)):
        files[f"{name}.json"] = json.dumps(content, indent=2).encode()
    return files


def test_a_preprocessed_archive_gives_captions_and_tags_by_origin(tmp_path: Path) -> None:
    zipped(tmp_path / PREPROCESSED, preprocessed(7, 8))
    mirror = niji_mirror(tmp_path, images=PREPROCESSED, models="{tags: wd-v1-4-vit-tagger, tag_threshold: 0.35}")
    mirror.rebuild(assets=[*READ, *PUBLISHED])

    captions = mirror.table("captions", NIJI_2022)
    assert captions.filter(image_id="niji-7-0").select("origin", "caption", "caption_model").rows() == [
        ("meta_cap", "a woman with cat ears", None),
        ("meta_clean", "a girl with cat ears", None),
        ("meta_dd", "a woman with cat ears", None),
        ("sidecar", "a woman with cat ears", None),
    ]
    tags = mirror.table("published_tags", NIJI_2022).filter(image_id="niji-8-0", origin="meta_clean").sort("position")
    assert tags.select("tag", "position", "tag_model", "tag_threshold").rows() == [
        ("1girl", 0, "wd-v1-4-vit-tagger", 0.35),
        ("long hair", 1, "wd-v1-4-vit-tagger", 0.35),
        ("cat ears", 2, "wd-v1-4-vit-tagger", 0.35),
    ]
    assert mirror.table("annotation_mismatches", NIJI).is_empty()
    assert mirror.table("published_embeddings", NIJI_2022).is_empty()


def test_both_variants_are_joined_by_work_and_what_only_one_has_is_said(tmp_path: Path) -> None:
    zipped(tmp_path / RAW, niji(1, 2, 3))
    files = preprocessed(2, 3, 4, stem="cleaned_{}")  # other names: the sidecars tell which work it is
    del files["dataset/cleaned_3.png.json"]
    files |= {"dataset/3_p0.png": b"pixels", "dataset/3_p0.caption": b"named by its work"}
    zipped(tmp_path / PREPROCESSED, files)
    mirror = niji_mirror(tmp_path, images=RAW, preprocessed=PREPROCESSED)
    mirror.rebuild(assets=[*READ, *PUBLISHED])

    captions = mirror.table("captions", NIJI_2022)
    assert set(captions["image_id"]) == {"niji-2-0", "niji-3-0"}
    assert captions.filter(image_id="niji-3-0")["caption"].to_list() == ["named by its work"]
    found = mirror.table("annotation_mismatches", NIJI)
    assert found.filter(kind="not_in_preprocessed").select("file", "image_id").rows() == [
        (f"{RAW}!nijijourney/1_p0.png", "niji-1-0")
    ]
    assert found.filter(kind="not_in_images").select("file", "image_id").rows() == [
        (f"{PREPROCESSED}!dataset/cleaned_4.png", "niji-4-0")
    ]
    assert mirror.table("image_metadata", NIJI_2022).height == 3, "the preprocessed variant lists no image"


def test_the_files_of_kohyas_own_scripts_are_read_from_folder_and_archive_alike(
    real_data: Path, tmp_path: Path
) -> None:
    folder = real_data / "kohya_preprocessed"
    files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*.*")}
    for number, name in enumerate(sorted(name for name in files if name.endswith(".png")), 1):
        files[f"{name}.json"] = as_bytes(sidecar(number))  # what the collection lacks
    zipped(tmp_path / PREPROCESSED, files)
    put(tmp_path / "unpacked", files)
    tables = []
    for name, images in (("packed", PREPROCESSED), ("unpacked", "unpacked")):
        (tmp_path / f"of_{name}").mkdir()
        mirror = niji_mirror(tmp_path / f"of_{name}", images=f"../{images}")
        mirror.rebuild(assets=[*READ, *PUBLISHED])
        tables.append({table: mirror.table(table, NIJI_2022).drop("file") for table in ("captions", "published_tags")})
        assert mirror.table("annotation_mismatches", NIJI).is_empty()

    for table in ("captions", "published_tags"):
        assert tables[0][table].equals(tables[1][table])
    by_origin = dict(tables[0]["captions"].group_by("origin").len().iter_rows())
    assert by_origin == dict.fromkeys(("sidecar", "meta_cap", "meta_cap_dd", "meta_cap_fullpath", "meta_clean"), 240)
    tags = tables[0]["published_tags"]
    first = tags.filter(origin="sidecar", image_id=tags["image_id"].min()).sort("position")["tag"].to_list()
    assert first == ["record", "musicstuff", "equipment"]


@pytest.mark.slow
def test_files_that_did_not_change_are_not_read_again_and_a_changed_caption_is(tmp_path: Path) -> None:
    put(tmp_path / "scrape", preprocessed(7))
    mirror = niji_mirror(tmp_path, images="scrape")
    mirror.rebuild(assets=[*READ, *PUBLISHED])
    before = {name: mirror.commits(name) for name in (*PUBLISHED, "source_annotations")}
    mirror.rebuild(assets=[*READ, *PUBLISHED])
    assert {name: mirror.commits(name) for name in before} == before
    put(tmp_path / "scrape", {"dataset/7_p0.caption": b"another caption\n"})
    mirror.rebuild(assets=[*READ, *PUBLISHED])

    assert mirror.table("captions", NIJI_2022).filter(origin="sidecar")["caption"].to_list() == ["another caption"]
    assert set(mirror.table("annotation_mismatches", NIJI)["kind"]) == {"captions_disagree"}
    assert mirror.commits("published_tags") == before["published_tags"]


def pd12m_mirror(folder: Path, real_data: Path, **keys: str) -> Mirror:
    """PD12M's real rows as the first shard of the first layout."""
    (folder / "pd12m.00.parquet").write_bytes((real_data / "pd12m" / "pd12m_rows_joined.parquet").read_bytes())
    block = {"kind": "pd12m", "collected": "2024", "license": "{name: CDLA, basis: card}"}
    block |= {"metadata": "pd12m.00.parquet"} | keys
    lines = "".join(f"    {key}: {value}\n" for key, value in block.items())
    (folder / "dataset.yaml").write_text(f"sources:\n  pd12m:\n{lines}{CLIP}", "utf-8")
    return Mirror(folder)


def test_captions_in_the_records_have_the_origin_source(real_data: Path, tmp_path: Path) -> None:
    mirror = pd12m_mirror(tmp_path, real_data, models="{captions: Florence-2}")
    mirror.rebuild(assets=[*READ, *PUBLISHED])

    captions = mirror.table("captions", PD12M)
    assert captions.height == 824
    assert set(captions["origin"]) == {"source"}
    assert set(captions["caption_model"]) == {"Florence-2"}
    assert captions["caption"].str.starts_with("The image shows").sum() == 744
    assert mirror.table("published_embeddings", PD12M).is_empty(), "no vectors are declared"


def test_published_vectors_are_joined_to_the_rows_at_their_positions(real_data: Path, tmp_path: Path) -> None:
    vectors = np.random.default_rng(5).normal(size=(824, 768)).astype(np.float32)
    vectors[3, 5], vectors[4] = np.nan, 0
    np.save(tmp_path / "pd12m.00.npy", vectors)
    mirror = pd12m_mirror(tmp_path, real_data, embeddings="'*.npy'", models="{embeddings: ViT-L-14 of OpenAI}")
    mirror.rebuild(assets=[*READ, *PUBLISHED])
    before = mirror.commits("published_embeddings")

    found = mirror.table("published_embeddings", PD12M)
    assert found["position"].to_list() == list(range(824))
    ids = pl.read_parquet(tmp_path / "pd12m.00.parquet")["id"]
    assert found["image_id"].to_list() == [f"pd12m-{image}-0" for image in ids]
    assert found["error"][:6].to_list() == [None, None, None, "not_finite", "bad_norm", None]
    unit = vectors[823] / np.linalg.norm(vectors[823])
    assert np.dot(found["embedding"].to_numpy()[823].astype(np.float32), unit) == pytest.approx(1, abs=1e-3)
    assert set(found["model"]) == {"ViT-L-14 of OpenAI"}
    mirror.rebuild(assets=[*READ, *PUBLISHED])
    assert mirror.commits("published_embeddings") == before
    np.save(tmp_path / "pd12m.00.npy", vectors[:800])
    mirror.rebuild(assets=[*READ, *PUBLISHED])
    refused = mirror.table("published_embeddings", PD12M)
    assert refused["error"].unique().to_list() == ["bad_embedding_file"]
    assert refused["embedding"].null_count() == 824


def test_what_was_taken_down_loses_its_published_caption_and_vector_though_their_files_are_gone(
    real_data: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "pd12m.00.npy", np.random.default_rng(5).normal(size=(824, 768)).astype(np.float32))
    mirror = pd12m_mirror(tmp_path, real_data, embeddings="'*.npy'", models="{embeddings: ViT-L-14 of OpenAI}")
    assets = [*READ, *PUBLISHED, "takedowns"]
    mirror.rebuild(assets=assets)
    before = {name: mirror.table(name, PD12M) for name in ("captions", "published_embeddings")}
    image_id = before["captions"]["image_id"][7]
    one = takedown.resolved(mirror.config, takedown.Asked("image", image_id, "asked", "ada"))
    takedown.add(mirror.config, one)
    vectors = (tmp_path / "pd12m.00.npy").rename(tmp_path / "elsewhere")

    work = Rebuild(mirror.definitions, mirror.config, mirror.instance, lambda line: None, takedowns_only=True)
    outcomes = list(work.run([("pd12m", 2024)], ["takedowns", *before]))

    assert not [error for outcome in outcomes for error in outcome.errors]
    for name, rows in before.items():
        assert mirror.table(name, PD12M).equals(rows.filter(pl.col("image_id") != image_id)), name
    vectors.rename(tmp_path / "pd12m.00.npy")
    takedown.lift(mirror.config, one.id, "ada", "agreed")
    mirror.rebuild(assets=assets)
    for name, rows in before.items():
        assert mirror.table(name, PD12M).equals(rows), f"{name}: lifted, it is read again"


def test_another_number_of_records_than_the_publisher_says_is_a_warning_that_stops_nothing(tmp_path: Path) -> None:
    zipped(tmp_path / RAW, niji(1, 2))
    mirror = niji_mirror(tmp_path, images=RAW, expected="9766")
    result = mirror.definitions.resolve_job_def("read_sources").execute_in_process(
        instance=mirror.instance, partition_key="niji"
    )

    [found] = [
        check
        for check in result.get_asset_check_evaluations()
        if check.check_name == "has_as_many_records_as_its_publisher_says"
    ]
    assert result.success
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert {key: value.value for key, value in found.metadata.items()} == {"records": 2, "expected": 9766}


def niji_source(folder: Path, **keys: str) -> Source:
    return niji_mirror(folder, **keys).config.sources["niji"]


def uploaded(*moments: datetime) -> pl.LazyFrame:
    ids = [f"niji-{number}-0" for number in range(len(moments))]
    return pl.LazyFrame({"image_id": ids, "created_at": moments}, schema_overrides={"created_at": TIME})


@pytest.mark.parametrize(
    ("window", "is_fine"),
    [(None, True), ("2022-11-06..2022-12-22", True), ("2022-11-06..2022-12-27", False)],
)
def test_a_window_that_contradicts_the_archives_name_is_a_warning(
    tmp_path: Path, window: str | None, is_fine: bool
) -> None:
    source = niji_source(tmp_path, images=RAW, **({"window": window} if window else {}))
    passed, found = is_of_the_days_that_were_scraped(uploaded(datetime(2022, 12, 1, tzinfo=UTC)), source)

    assert passed == is_fine
    assert found["name"] == "2022-11-06..2022-12-22"
    assert found.get("window") == window


def test_an_image_of_a_day_outside_the_window_is_named(tmp_path: Path) -> None:
    source = niji_source(tmp_path, images=RAW, window="2022-11-06..2022-12-27")
    days = (datetime(2022, 12, 22, tzinfo=UTC), datetime(2022, 12, 23, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC))
    _, found = is_of_the_days_that_were_scraped(uploaded(*days), source)

    assert (found["images_outside_name"], found["outside_name"]) == (2, "niji-1-0, niji-2-0")
    assert (found["images_outside_window"], found["outside_window"]) == (1, "niji-2-0")


def test_of_id_lists_those_that_are_counted_by_their_publisher_count(tmp_path: Path) -> None:
    rows = pl.LazyFrame({"is_popular": [True, True, False]})

    assert has_as_many_records_as_its_publisher_says(rows, niji_source(tmp_path, images=RAW, expected="2"))[0]
    assert not has_as_many_records_as_its_publisher_says(rows, niji_source(tmp_path, images=RAW, expected="3"))[0]
    assert has_as_many_records_as_its_publisher_says(rows, niji_source(tmp_path, images=RAW)) == (True, {"records": 2})


@pytest.mark.parametrize("window", ["2022", "2022-12-27..2022-11-06", "2022-02-30..2022-03-01"])
def test_a_window_that_is_none_is_refused(tmp_path: Path, window: str) -> None:
    with pytest.raises(ConfigError, match=r"sources\.niji\.window"):
        niji_source(tmp_path, images=RAW, window=window)


def test_a_variant_or_vectors_that_are_not_there_are_named_by_their_key(tmp_path: Path) -> None:
    niji = niji_source(put(tmp_path / "niji", {"raw/1.png": b""}), images="raw", preprocessed="gone.zip")
    assert [key for key, _ in niji.missing_inputs()] == ["preprocessed"]

    put(
        tmp_path,
        {
            "pd12m.00.parquet": b"",
            "dataset.yaml": b"""
sources:
  pd12m: {kind: pd12m, metadata: pd12m.00.parquet, embeddings: '*.npy', collected: 2024, license: {name: x, basis: y}}
""",
        },
    )
    pd12m = Mirror(tmp_path).config.sources["pd12m"]
    assert [key for key, _ in pd12m.missing_inputs()] == ["embeddings"]


def test_links_and_popularity_tags_lead_to_further_works(tmp_path: Path) -> None:
    linking = sidecar(
        9,
        caption='線画は<a href="https://www.pixiv.net/member_illust.php?mode=medium&amp;illust_id=5">こちら</a>',
        tags=["塗ってみた", "雪"],
    )
    zipped(tmp_path / RAW, {**niji(5, 9), "nijijourney/9_p0.png.json": as_bytes(linking)})
    mirror = niji_mirror(tmp_path, images=RAW)
    settings = mirror.config_file.read_text("utf-8")
    popular = "  popular: {kind: pixiv_lists, ids: ids.txt, bookmark_tags: bookmarks.txt, collected: 2017, "
    put(tmp_path, {"ids.txt": b"5\n", "bookmarks.txt": "# 500\n銀魂500users入り\n".encode()})
    put(tmp_path, {"fetched/5.png": picture(5)})
    mirror.config_file.write_text(
        settings.replace("sources:\n", f"sources:\n{popular}license: {{name: MIT, basis: lists}}}}\n"), "utf-8"
    )
    mirror.rebuild(assets=["source_snapshot", "bookmark_tags", "pair_candidates"])

    assert mirror.table("pair_candidates", NIJI).drop("link").rows() == [
        ("9", "5", ["塗ってみた"], "niji-9-0", "niji-5-0", True)
    ]
    assert mirror.table("bookmark_tags", Cell("popular")).rows() == [("銀魂500users入り", 500, "銀魂", 500, 1, 2)]
    assert mirror.table("bookmark_tags", NIJI).is_empty()


def test_an_images_story_tells_its_captions_and_tags_by_origin(tmp_path: Path) -> None:
    zipped(tmp_path / PREPROCESSED, preprocessed(7))
    mirror = niji_mirror(tmp_path, images=PREPROCESSED)
    mirror.rebuild(assets=[*READ, "captions", "published_tags"])

    told = {chapter.table: chapter.facts for chapter in trace(mirror.config, "niji-7-0")}
    assert told["captions"]["meta_clean"] == "a girl with cat ears"
    assert told["published_tags"]["sidecar"] == "1girl, long_hair, cat_ears"
    assert told["source_annotations"]["meta_cap"] == f"{PREPROCESSED}!meta_cap.json"
