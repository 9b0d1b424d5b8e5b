"""`predicted_tags` through real runs."""

from pathlib import Path

import dagster as dg
import pytest

from dataset_assets.config import ConfigError, load_config
from dataset_assets.domain.predicted_tags import scores
from dataset_assets.storage.tables import Cell
from dataset_assets.trace import trace
from dataset_assets_tests.mirror import Mirror
from dataset_assets_tests.models.tiny_taggers import ROWS, write_labels, write_tiny_onnx

CELL = Cell("danbooru", 2005)
# What tags hang on, and no more of the graph.
NEEDED = ["source_snapshot", "image_metadata", "raw_images", "training_images", "predicted_tags"]


def tagged_mirror(folder: Path, settings: str = "") -> Mirror:
    mirror = Mirror.make(folder, posts_by_year=2)
    one_cell = mirror.config_file.read_text("utf-8").replace("2005..2007", "2005")
    mirror.config_file.write_text(one_cell, "utf-8")
    write_tiny_onnx(folder / "tiny-tagger")
    with mirror.config_file.open("a", encoding="utf-8") as file:
        file.write(f"tagger: {{model: ./tiny-tagger, batch_size: 4{settings}}}\n")
    return mirror


def tag_only(mirror: Mirror) -> dict[str, int]:
    outcomes = mirror.rebuild(assets=["predicted_tags"])
    return {name: sum(getattr(outcome, name) for outcome in outcomes) for name in ("computed", "reused")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    mirror = tagged_mirror(tmp_path_factory.mktemp("tagged"))
    mirror.rebuild(assets=[*NEEDED, "catalog"])
    return mirror


def test_every_training_image_has_its_tags(built: Mirror) -> None:
    made, tagged = built.table("training_images"), built.table("predicted_tags")

    assert tagged.get_column("image_id").to_list() == made.get_column("image_id").to_list()
    assert tagged.get_column("error").null_count() == tagged.height > 0
    assert tagged.get_column("rating").null_count() == 0
    assert scores(tagged.lazy()).collect().get_column("score").is_between(0, 1).all()


def test_materialization_says_rates_and_what_the_model_ran_on(built: Mirror) -> None:
    told = built.told("predicted_tags")

    assert told["images_per_second"] > 0
    assert 0 <= told["model_share"] <= 1
    assert told["ran_on"] == "CPUExecutionProvider"


def test_the_catalog_and_trace_show_them(built: Mirror) -> None:
    assert "predicted_tags" in built.table("catalog").get_column("view").to_list()
    [chapter] = [one for one in trace(built.config, "danbooru-5000-0") if one.table == "predicted_tags"]
    assert chapter.facts["tags"].startswith(f"{chapter.facts['rating']} ")


def test_a_rebuild_of_what_is_fresh_tags_nothing_and_other_thresholds_change_no_score(tmp_path: Path) -> None:
    mirror = tagged_mirror(tmp_path)
    mirror.rebuild(assets=NEEDED)
    before = mirror.commits("predicted_tags")

    text = mirror.config_file.read_text("utf-8")
    mirror.config_file.write_text(
        text.replace("tagger, batch_size: 4}", "tagger, batch_size: 4, thresholds: {general: 0.5}}"), "utf-8"
    )

    assert tag_only(mirror) == {"computed": 0, "reused": 0}
    assert mirror.commits("predicted_tags") == before


@pytest.mark.slow
def test_a_changed_image_is_tagged_alone_and_a_changed_model_tags_all_and_embeds_none(tmp_path: Path) -> None:
    mirror = tagged_mirror(tmp_path)
    mirror.rebuild(assets=[*NEEDED, "clip_embeddings"])
    mirror.add_post(5000, 2005, ["1girl"], data=mirror.image_file(5001).read_bytes())
    mirror.write_metadata()
    mirror.rebuild(assets=[*NEEDED, "clip_embeddings"])
    history = mirror.tables.history("predicted_tags", CELL).collect()
    assert history.group_by("run_id").len().get_column("len").to_list() == [1, 1]

    embedded = mirror.commits("clip_embeddings")
    write_labels(tmp_path / "tiny-tagger", [*ROWS[:-1], (2, "kagamine_rin", 4)])
    assert tag_only(mirror) == {"computed": mirror.table("training_images").height, "reused": 0}
    assert mirror.commits("clip_embeddings") == embedded


def test_a_broken_model_commits_nothing_and_keeps_the_old_tags(tmp_path: Path) -> None:
    mirror = tagged_mirror(tmp_path)
    mirror.rebuild(assets=NEEDED)
    before = mirror.commits("predicted_tags")
    write_labels(tmp_path / "tiny-tagger", ROWS[:-1])

    outcomes = mirror.rebuild(assets=["predicted_tags"], everything=True, strict=False)

    assert any("has 8 tags, the model gives 9 scores" in error for outcome in outcomes for error in outcome.errors)
    assert mirror.commits("predicted_tags") == before


def test_without_a_tagger_there_is_no_such_asset(tmp_path: Path) -> None:
    graph = Mirror.make(tmp_path, posts_by_year=0).definitions.resolve_asset_graph()

    assert dg.AssetKey("predicted_tags") not in graph.get_all_asset_keys()


def test_the_asset_depends_on_training_images_and_is_in_the_usual_rebuild(built: Mirror) -> None:
    graph = built.definitions.resolve_asset_graph()
    node = graph.get(dg.AssetKey("predicted_tags"))

    assert node.parent_keys == {dg.AssetKey("training_images")}
    assert "one row per" in (node.description or "")
    rebuilt = built.definitions.resolve_job_def("rebuild").asset_layer.executable_asset_keys
    assert node.key in rebuilt


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (", floor: 0.4", "floor is above a threshold"),
        (", provider: evil.so", "tagger.provider"),
        (", thresholds: {artist: 0.5}", "tagger.thresholds.artist: unknown key"),
        (", device: tpu", "tagger.device"),
        (", learnt_from: [danboru]", "tagger.learnt_from: there is no source 'danboru'; did you mean 'danbooru'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, settings: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(tagged_mirror(tmp_path, settings).config_file)
