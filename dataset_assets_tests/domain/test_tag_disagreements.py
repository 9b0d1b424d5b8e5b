from typing import Any

import polars as pl
import pytest

from dataset_assets.domain.predicted_tags import PREDICTED_TAGS, TrainedOn
from dataset_assets.domain.schemas import TAG_METADATA
from dataset_assets.domain.tag_disagreements import TAG_DISAGREEMENTS, Comparison, agreement, compare, disagreements

LABELS = [("smile", "general"), ("hat", "general"), ("miku", "character"), ("safe", "rating")]
FRESH, LEARNT = "d-950-0", "d-1-0"


def predicted(image_id: str, **scores: float) -> dict[str, Any]:
    category = dict(LABELS) | {"grin": "general"}
    listed = [{"tag": tag, "category": category[tag], "score": score} for tag, score in scores.items()]
    return {"image_id": image_id, "model": "m", "tags": listed}


def comparison(**changes: Any) -> Comparison:
    names = {"antecedent": pl.String, "consequent": pl.String}
    aliases = pl.DataFrame(changes.pop("aliases", []), schema=names, orient="row")
    thresholds = {"general": 0.4, "character": 0.8}
    fields: dict[str, Any] = {"labels": LABELS, "thresholds": thresholds, "floor": 0.05, "trained": TrainedOn()}
    return Comparison(**{**fields, "is_danbooru": True, "has_learnt": True, "aliases": aliases, **changes})


def pairs(
    images: list[dict[str, Any]],
    tagged: list[tuple[str, str]],
    how: Comparison,
    decided: list[tuple[str, str]] = (),  # type: ignore[assignment]
) -> pl.LazyFrame:
    rows = [{"image_id": image_id, "tag": tag, "category": "general", "origin": "source"} for image_id, tag in tagged]
    decisions = pl.DataFrame(
        [(*pair, "ada") for pair in decided],
        schema={"image_id": pl.String, "tag": pl.String, "who": pl.String},
        orient="row",
    )
    frame = pl.DataFrame(rows, schema=TAG_METADATA.schema)
    return compare(PREDICTED_TAGS.frame(images).lazy(), frame.lazy(), decisions.lazy(), how)


def found(*arguments: Any) -> pl.DataFrame:
    return disagreements(pairs(*arguments), 0.05).collect()


def test_what_one_sees_and_the_other_lacks_is_found_and_what_both_see_is_not() -> None:
    rows = found([predicted(FRESH, smile=0.9, hat=0.8, safe=1.0)], [(FRESH, "hat"), (FRESH, "miku")], comparison())

    assert rows.schema == TAG_DISAGREEMENTS.schema
    assert sorted(rows.select("tag", "kind").rows()) == [("miku", "doubtful"), ("smile", "missing")]


def test_the_clearest_case_comes_first_and_images_that_were_learnt_from_come_last() -> None:
    images = [predicted(FRESH, smile=0.5, miku=0.95), predicted(LEARNT, smile=1.0)]

    rows = found(images, [], comparison())

    assert rows.select("rank", "image_id", "tag", "is_in_sample").rows() == [
        (1, FRESH, "miku", False),
        (2, FRESH, "smile", False),
        (3, LEARNT, "smile", True),
    ]
    assert rows.get_column("magnitude").to_list() == pytest.approx([0.75, 1 / 6, 1.0])


def test_a_tag_that_the_tagger_does_not_know_or_rates_is_not_compared() -> None:
    assert found([predicted(FRESH, safe=1.0)], [(FRESH, "commentary")], comparison()).is_empty()


def test_an_image_that_could_not_be_tagged_is_not_compared() -> None:
    failed = {"image_id": FRESH, "error": "undecodable", "model": "m"}

    assert found([failed], [(FRESH, "smile")], comparison()).is_empty()


def test_a_prediction_under_a_former_name_agrees_with_todays() -> None:
    how = comparison(labels=[*LABELS, ("grin", "general")], aliases=[("grin", "smile")])

    assert found([predicted(FRESH, grin=0.9)], [(FRESH, "smile")], how).is_empty()
    assert found([predicted(FRESH, grin=0.9)], [], how).get_column("tag").to_list() == ["smile"]


def test_a_source_of_another_vocabulary_lacks_no_tag_that_it_never_uses() -> None:
    images = [predicted("p-1-0", smile=0.9, hat=0.9), predicted("p-2-0", hat=0.9)]

    rows = found(images, [("p-2-0", "hat")], comparison(is_danbooru=False, has_learnt=False))

    assert rows.select("image_id", "tag", "is_in_sample").rows() == [("p-1-0", "hat", None)]


def test_ids_of_a_source_that_the_tagger_does_not_know_say_nothing_of_its_training() -> None:
    rows = found([predicted(LEARNT, smile=0.9)], [], comparison(has_learnt=False))

    assert rows.get_column("is_in_sample").to_list() == [None]


def test_what_was_decided_is_marked() -> None:
    rows = found([predicted(FRESH, smile=0.9, hat=0.9)], [], comparison(), [(FRESH, "hat")])

    assert dict(rows.select("tag", "decided_by").iter_rows()) == {"hat": "ada", "smile": None}


def test_quality_is_measured_on_images_that_the_tagger_has_not_learnt_from() -> None:
    images = [predicted(FRESH, smile=0.9, hat=0.9), predicted(LEARNT, smile=0.9, hat=0.9, miku=0.9)]
    tagged = [(FRESH, "smile"), (FRESH, "miku"), (LEARNT, "smile"), (LEARNT, "hat"), (LEARNT, "miku")]

    assert agreement(pairs(images, tagged, comparison())) == {
        "pairs_out_of_sample": 3,
        "precision_out_of_sample": 0.5,
        "recall_out_of_sample": 0.5,
    }
