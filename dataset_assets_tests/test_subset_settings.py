"""The block `subsets`: what is refused, and what its keys ask of an image."""

from pathlib import Path

import polars as pl
import pytest

from dataset_assets.assets.curation import definition_mark, rules_of
from dataset_assets.config import ConfigError, DatasetConfig, load_config
from dataset_assets.domain.selection import drop_reason

SETTINGS = """
sources:
  danbooru: {kind: danbooru, metadata: a, images: b, years: 2019, license: {name: CC0-1.0, basis: x}}
  pd12m: {kind: pd12m, metadata: a, collected: 2024, license: {name: CDLA, basis: x, redistribute: true}}
image_scores: {aesthetic: {weights: head.pth}}
subsets:
  some: SUBSET
"""


def read(folder: Path, subset: str) -> DatasetConfig:
    (folder / "dataset.yaml").write_text(SETTINGS.replace("SUBSET", subset), "utf-8")
    return load_config(folder / "dataset.yaml")


@pytest.mark.parametrize(
    ("subset", "said"),
    [
        ("license: CC0-1.0", "subsets.some.license: 'CC0-1.0': write any, redistributable, or a list of licences"),
        ("license: []", "the list is empty"),
        ("license: [CC-BY]", "subsets.some.license: there is no licence 'CC-BY'"),
        ("license: [CC0-1.0, CDLB]", "there is no licence 'CDLB'; did you mean 'CDLA'?"),
        ("min_side: 0", "subsets.some.min_side"),
        ("max_aspect: 0.5", "subsets.some.max_aspect"),
        ("scores: {aestetic: 5}", "subsets.some.scores"),
        ("scores: {aesthetic: .nan}", "is no score"),
        ("scores: {quality: 0.5}", "subsets.some.scores: asks for quality_score; no image_scores.quality is set"),
        ("splits: {Train: 1}", "subsets.some.splits: 'Train': a name is 1 to 32 of a-z, 0-9 and _"),
        ("splits: {../x: 1}", "a name is 1 to 32"),
        ("splits: {2019: 1}", "a name is 1 to 32"),
        ("splits: {train: 0}", "subsets.some.splits.train"),
        ("splits: {train: .inf}", "subsets.some.splits.train"),
        ("splits: [train, val]", "write shares by name"),
        ("split_by: image", "there are none; write splits"),
        ("splits: {train: 1}, split_by: artist", "subsets.some.split_by"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_key(subset: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, "{" + subset + "}")
    assert said in str(refusal.value)


def test_a_list_may_name_licences_of_sources_that_are_still_to_come(tmp_path: Path) -> None:
    config = read(tmp_path, "{license: [CC0-1.0, MIT]}")
    stored = pl.DataFrame(
        {"state": ["stored"], "reason": [None], "is_decoded": [True]}, schema_overrides={"reason": pl.String}
    )
    found = {source: stored.select(drop_reason(rules_of(config, "some", source))).item() for source in config.sources}

    assert found == {"danbooru": None, "pd12m": "license"}


@pytest.mark.parametrize(
    ("subset", "values", "reason"),
    [
        ("min_side: 448", {"width": 448, "height": 900}, None),
        ("min_side: 448", {"width": 447, "height": 900}, "min_side"),
        ("max_aspect: 2", {"width": 100, "height": 200}, None),
        ("max_aspect: 2", {"width": 201, "height": 100}, "max_aspect"),
        ("scores: {aesthetic: 5}", {"aesthetic_score": 5.0}, None),
        ("scores: {aesthetic: 5}", {"aesthetic_score": 4.9}, "scores"),
        ("scores: {aesthetic: 5}", {"aesthetic_score": None}, "scores"),
    ],
)
def test_a_rule_bears_the_name_of_its_key(
    subset: str, values: dict[str, float | None], reason: str | None, tmp_path: Path
) -> None:
    schema = {"state": pl.String, "reason": pl.String, "is_decoded": pl.Boolean, "aesthetic_score": pl.Float32}
    row = pl.DataFrame([{"state": "stored", "is_decoded": True, **values}], schema_overrides=schema)
    row = row.with_columns(reason=pl.lit(None, pl.String))
    rules = rules_of(read(tmp_path, "{" + subset + "}"), "some", "danbooru")

    assert row.select(drop_reason(rules)).item() == reason


@pytest.mark.parametrize(
    ("subset", "waits"),
    [
        ("splits: {train: 1, val: 1}", True),
        ("splits: {train: 1, val: 1}, split_by: sketch", True),
        ("splits: {train: 1, val: 1}, split_by: image", False),
        ("duplicates: drop", True),
        ('where: "split_key % 2 = 0"', True),
        ("min_side: 5", False),
    ],
)
def test_what_needs_duplicates_waits_for_all_sources(subset: str, waits: bool, tmp_path: Path) -> None:
    assert read(tmp_path, "{" + subset + "}").has_unique_subsets is waits


def test_the_order_of_parts_is_of_the_definition(tmp_path: Path) -> None:
    marks = [
        definition_mark(read(tmp_path, "{splits: {" + shares + "}}"), "some")
        for shares in ("train: 1, val: 1", "val: 1, train: 1", "train: 1, val: 1")
    ]

    assert marks[0] == marks[2] != marks[1]
