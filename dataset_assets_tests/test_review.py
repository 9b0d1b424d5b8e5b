"""Decisions about tags: asked, written, applied to the tags, told by `trace`, exported."""

import csv
import json
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from dataset_assets import cli, cli_review_terminal
from dataset_assets.review import BadAnswer, NothingToReview, Question, Review, Wanted, questions
from dataset_assets.review_answers import earlier_answers
from dataset_assets.review_sheets import SHEETS, Sheets, asked_elsewhere, draw_sheet
from dataset_assets.storage.tables import Cell
from dataset_assets.trace import trace
from dataset_assets_tests.mirror import Mirror
from dataset_assets_tests.test_predicted_tags import NEEDED, tagged_mirror

CELL = Cell("danbooru", 2005)
PARTS = [*NEEDED, "tag_metadata", "tag_decisions", "tag_disagreements"]


def solid(colour: tuple[int, int, int]) -> bytes:
    import io

    with io.BytesIO() as buffer:
        Image.new("RGB", (48, 40), colour).save(buffer, "PNG")
        return buffer.getvalue()


def build(folder: Path) -> Mirror:
    """Blue and red pictures in buckets from which the tagger has not learnt, and one from which it has."""
    mirror = tagged_mirror(folder)
    mirror.add_post(5950, 2005, ["hat"], data=solid((0, 0, 255)))
    mirror.add_post(5951, 2005, ["blue_sky", "hat"], data=solid((255, 0, 0)))
    mirror.add_post(5002, 2005, ["hat"], data=solid((255, 0, 0)))
    mirror.write_metadata()
    mirror.write_relations(("blue_sky", "sky"))
    mirror.rebuild(assets=PARTS)
    return mirror


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    return build(tmp_path_factory.mktemp("review"))


def copied(mirror: Mirror, folder: Path) -> Mirror:
    """The same dataset once more, for tests that decide and rebuild nothing."""
    shutil.copytree(mirror.folder, folder, dirs_exist_ok=True)
    return Mirror(folder, mirror.posts)


def asked(mirror: Mirror, **wanted: object) -> list[Question]:
    return questions(mirror.config, Wanted([CELL], **wanted))  # type: ignore[arg-type]


def clock() -> Iterator[datetime]:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    while True:
        moment += timedelta(seconds=1)
        yield moment


TICKS = clock()  # one for all tests: later decisions count


def sitting(mirror: Mirror) -> Review:
    return Review(mirror.config, "ada", lambda: next(TICKS))


def tags_of(mirror: Mirror, image_id: str) -> dict[str, str]:
    rows = mirror.table("tag_metadata", CELL).filter(pl.col("image_id") == image_id)
    return dict(rows.select("tag", "origin").iter_rows())


def decide(mirror: Mirror, image_id: str, tag: str, accept: bool) -> None:
    [question] = [one for one in asked(mirror, in_sample=True) if (one.image_id, one.tag) == (image_id, tag)]
    sitting(mirror).answer(question, accept, "looked at it")


def test_the_clearest_questions_come_first_and_none_about_images_that_were_learnt_from(mirror: Mirror) -> None:
    found = asked(mirror)

    pairs = [(one.image_id, one.tag, one.kind) for one in found]
    assert ("danbooru-5950-0", "blue_sky", "missing") in pairs
    assert ("danbooru-5951-0", "blue_sky", "doubtful") in pairs
    assert not [one for one in found if one.image_id == "danbooru-5002-0"]
    assert [one for one in asked(mirror, in_sample=True) if one.image_id == "danbooru-5002-0"]
    assert all(one.kind == "missing" for one in asked(mirror, kind="missing"))
    assert [one.tag for one in asked(mirror, tags=["blue_sky"])] == ["blue_sky", "blue_sky"]


def test_a_sheet_shows_the_pictures_in_their_order(mirror: Mirror) -> None:
    found = asked(mirror, tags=["blue_sky"])

    with Image.open(draw_sheet(mirror.config, found, f"{SHEETS}one.jpg")) as sheet:
        assert sheet.size[0] > sheet.size[1] > 200
        first = sheet.getpixel((110, 110))
    assert isinstance(first, tuple)
    assert (first[2] > 200) == (found[0].image_id == "danbooru-5950-0")


def test_accepted_tags_are_added_and_removed_with_what_they_imply_in_their_year_alone(tmp_path: Path) -> None:
    mirror = build(tmp_path)
    others = mirror.commits("tag_metadata")
    decide(mirror, "danbooru-5950-0", "blue_sky", accept=True)
    decide(mirror, "danbooru-5951-0", "blue_sky", accept=True)

    outcomes = mirror.rebuild(assets=PARTS)

    assert tags_of(mirror, "danbooru-5950-0") == {"hat": "source", "blue_sky": "human", "sky": "implication"}
    assert tags_of(mirror, "danbooru-5951-0") == {"hat": "source"}
    assert [one.cell for one in outcomes if "tag_metadata" in one.assets] == [CELL]
    changed = {cell for cell, commit in mirror.commits("tag_metadata").items() if commit != others[cell]}
    assert changed == {CELL}
    left = mirror.table("tag_disagreements", CELL).filter(pl.col("tag") == "blue_sky").get_column("image_id")
    assert not {"danbooru-5950-0", "danbooru-5951-0"} & set(left)

    told = {one.table: one.facts for one in trace(mirror.config, "danbooru-5950-0")}
    assert re.match(r"is there, says ada, 2026-.* \(counts\): looked at it", told["tag_decisions"]["blue_sky"])


@pytest.mark.slow
def test_a_rejected_question_changes_no_tag_and_is_never_asked_again(tmp_path: Path) -> None:
    mirror = build(tmp_path)
    before = mirror.table("tag_metadata", CELL)
    decide(mirror, "danbooru-5950-0", "blue_sky", accept=False)
    decide(mirror, "danbooru-5951-0", "blue_sky", accept=False)

    assert not asked(mirror, tags=["blue_sky"])  # at once, before any rebuild
    mirror.rebuild(assets=PARTS)

    assert mirror.table("tag_metadata", CELL).equals(before)
    assert not asked(mirror, tags=["blue_sky"])
    rows = mirror.table("tag_disagreements", CELL).filter(pl.col("tag") == "blue_sky", pl.col("decided_by") == "ada")
    assert rows.height == 2


@pytest.mark.slow
def test_an_answer_that_is_taken_back_is_asked_again_and_stays_on_record(tmp_path: Path) -> None:
    mirror = build(tmp_path)
    found = asked(mirror)
    person = sitting(mirror)

    person.answer(found[0], True)
    assert found[0] not in asked(mirror)
    assert person.undo() == found[0]
    assert person.undo() is None

    assert asked(mirror) == found
    mirror.rebuild(assets=["tag_decisions"])
    assert mirror.table("tag_decisions", CELL).get_column("state").to_list() == ["undone", "superseded"]


def test_keys_answer_skip_undo_and_leave(mirror: Mirror, tmp_path: Path) -> None:
    mirror = copied(mirror, tmp_path)
    found = asked(mirror, in_sample=True)
    person, keys = sitting(mirror), iter("ax?urs" + "q")

    cli_review_terminal.go_through(mirror.config, person, found, lambda: next(keys), None)

    assert person.count == 1
    assert found[0] not in asked(mirror, in_sample=True)
    assert asked(mirror, in_sample=True)[0] == found[1]


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (b"ar", "ar"),
        (b"\x1b[A", "\x1b"),  # an arrow upward: its last letter is no answer
        (b"\x1bOR\x1b[15~a", "\x1b\x1ba"),
        (b"\x1b[1;5Ar", "\x1br"),
        (b"\x1b", "\x1b"),
        ("é\x04".encode(), "é\x04"),
    ],
)
def test_a_key_that_sends_several_characters_is_one_key(sent: bytes, keys: str) -> None:
    sendings = iter([sent, b""])

    assert "".join(cli_review_terminal.pressed(lambda: next(sendings))) == keys


def test_ctrl_c_needs_no_further_key(monkeypatch: pytest.MonkeyPatch) -> None:
    person, terminal = os.openpty()
    stop = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    late = threading.Timer(5, os.write, (person, b"s"))
    with os.fdopen(person), os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
        with cli_review_terminal.single_keys() as read_key:
            signal.siginterrupt(signal.SIGINT, False)  # as a handler does that Polars puts in place
            stop.start()
            late.start()
            try:
                with pytest.raises(KeyboardInterrupt):
                    read_key()
            finally:
                signal.signal(signal.SIGINT, before)
        assert late.is_alive(), "it was the key that ended the wait"
        late.cancel()


def test_two_people_at_once_are_asked_no_question_twice(mirror: Mirror, tmp_path: Path) -> None:
    mirror = copied(mirror, tmp_path)
    found = asked(mirror, in_sample=True)
    ada, eve = Sheets(mirror.root, "ada"), Sheets(mirror.root, "eve")
    with ada.open():
        first = ada.deal(found[:2], set)
        with eve.open():
            second = eve.deal(found, lambda: {found[2].pair})

            assert first == found[:2]
            assert second == found[3:]
            assert asked_elsewhere(mirror.root) == {one.pair for one in (*first, *second)}
            assert asked(mirror, in_sample=True, without=asked_elsewhere(mirror.root), limit=1) == found[2:3]
        assert asked_elsewhere(mirror.root, "ada") == set()
    assert not list((mirror.root / SHEETS).glob("*.json"))


def test_what_a_sitting_that_died_was_asking_is_free(mirror: Mirror, tmp_path: Path) -> None:
    mirror = copied(mirror, tmp_path)
    found = asked(mirror)
    dead = Sheets(mirror.root, "dead")  # it holds no lock
    draw_sheet(mirror.config, found, dead.picture)
    dead.keep(found)

    assert asked_elsewhere(mirror.root) == set()
    assert not list((mirror.root / SHEETS).glob("dead*"))


def test_what_another_answers_meanwhile_is_left_out_of_the_next_sheet(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = copied(mirror, tmp_path)
    monkeypatch.setattr("dataset_assets.review_sheets.SHEET_IMAGES", 1)
    found = asked(mirror, in_sample=True)
    eve, seen = Review(mirror.config, "eve"), []

    def key() -> str:
        seen.append(1)
        if len(seen) == 1:
            eve.answer(found[1], True)
        return "s"

    cli_review_terminal.go_through(mirror.config, sitting(mirror), found, key, None)

    assert len(seen) == len(found) - 1


def test_parts_of_the_questions_have_no_image_in_common_and_are_all_of_them(mirror: Mirror) -> None:
    parts = [asked(mirror, in_sample=True, part=(number, 3)) for number in (1, 2, 3)]
    images = [{one.image_id for one in part} for part in parts]

    assert sorted(one.pair for part in parts for one in part) == sorted(
        one.pair for one in asked(mirror, in_sample=True)
    )
    assert sum(map(len, images)) == len(set().union(*images))


def earlier(mirror: Mirror, who: str = "ada") -> list[Question]:
    return earlier_answers(mirror.config, Wanted([CELL]), who)


def test_answers_of_another_day_are_shown_again_changed_and_taken_back(mirror: Mirror, tmp_path: Path) -> None:
    mirror = copied(mirror, tmp_path)
    found = asked(mirror)
    first = sitting(mirror)
    first.answer(found[0], True)
    first.answer(found[1], False, "blurred")
    first.answer(found[0], False)

    again = earlier(mirror)
    assert [(one.pair, one.is_accepted) for one in again] == [(found[0].pair, False), (found[1].pair, False)]
    assert not earlier(mirror, "eve")
    keys = iter("art" + "q")
    cli_review_terminal.go_through(mirror.config, sitting(mirror), again, lambda: next(keys), None)

    assert [one.is_accepted for one in earlier(mirror)] == [True, False]  # the second was said as before
    files = {file: file.read_bytes() for file in (mirror.root / "decisions").rglob("*.jsonl")}
    person = sitting(mirror)
    for question in earlier(mirror):
        person.take_back(question)
    assert asked(mirror) == found  # also the first answer, which the second had superseded, counts no longer
    assert all(file.read_bytes() == content for file, content in files.items())
    assert person.undo() is not None
    assert [one.pair for one in earlier(mirror)] == [found[1].pair]


def test_taking_back_leaves_the_answer_of_another(mirror: Mirror, tmp_path: Path) -> None:
    mirror = copied(mirror, tmp_path)
    [question, *_] = asked(mirror)
    Review(mirror.config, "eve", lambda: next(TICKS)).answer(question, True)
    sitting(mirror).answer(question, False)

    sitting(mirror).take_back(earlier(mirror)[0])

    assert [one.is_accepted for one in earlier(mirror, "eve")] == [True]


@pytest.mark.slow
def test_an_answer_that_is_taken_back_after_a_rebuild_leaves_the_tags(tmp_path: Path) -> None:
    mirror = build(tmp_path)
    decide(mirror, "danbooru-5950-0", "blue_sky", accept=True)
    mirror.rebuild(assets=PARTS)
    [question] = earlier(mirror)
    assert (question.kind, question.is_accepted) == ("missing", True)

    sitting(mirror).take_back(question)
    mirror.rebuild(assets=PARTS)

    assert tags_of(mirror, "danbooru-5950-0") == {"hat": "source"}
    assert ("danbooru-5950-0", "blue_sky") in [one.pair for one in asked(mirror)]


def test_an_answer_that_could_not_be_read_again_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror = copied(mirror, tmp_path)
    person = sitting(mirror)

    with pytest.raises(BadAnswer, match="why is no text"):
        person.answer(asked(mirror)[0], True, "two\nlines")

    assert not (mirror.root / "decisions").exists()
    assert person.count == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image_id;tag;decision\ndanbooru-5950-0;blue_sky;accept\n", "names no column decision, image_id, tag"),
        (f"image_id,tag,decision,why\ndanbooru-5950-0,blue_sky,accept,{'x' * 600}\n", "line 2: a reason of 600"),
    ],
)
def test_a_file_of_answers_that_cannot_be_meant_is_refused(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    mirror = copied(mirror, tmp_path)
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(mirror.config_file))
    file = tmp_path / "answers.csv"
    file.write_text(content, "utf-8")

    result = CliRunner().invoke(cli.app, ["review", "--from", str(file)])

    assert message in str(result.exception)
    assert not (mirror.root / "decisions").exists()


def test_a_reason_of_several_lines_becomes_one(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = copied(mirror, tmp_path)
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(mirror.config_file))
    file = tmp_path / "answers.csv"
    file.write_text('image_id,tag,decision,why\ndanbooru-5950-0,blue_sky,accept,"two\nlines\x07"\n', "utf-8")

    result = CliRunner().invoke(cli.app, ["review", "--from", str(file)])

    assert "1 decision;" in result.output, result.exception
    [line] = [json.loads(one.read_bytes()) for one in (mirror.root / "decisions").rglob("*.jsonl")]
    assert line["why"] == "two lines"


@pytest.mark.slow
def test_a_line_that_someone_has_spoilt_is_a_row_and_the_others_count(tmp_path: Path) -> None:
    mirror = build(tmp_path)
    decide(mirror, "danbooru-5950-0", "blue_sky", accept=True)
    [file] = (mirror.root / "decisions").rglob("*.jsonl")
    file.write_bytes(b"{spoilt\n" + file.read_bytes())

    mirror.rebuild(assets=PARTS)

    assert sorted(mirror.table("tag_decisions", CELL).get_column("state")) == ["counts", "unreadable"]
    assert tags_of(mirror, "danbooru-5950-0")["blue_sky"] == "human"


def test_answers_come_from_a_file_where_there_is_no_terminal(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = copied(mirror, tmp_path)
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(mirror.config_file))
    sheet, out = tmp_path / "questions.csv", tmp_path / "decided.jsonl"
    runner = CliRunner()

    refused = runner.invoke(cli.app, ["review"])
    assert "no terminal" in str(refused.exception)
    assert runner.invoke(cli.app, ["review", "--questions", str(sheet), "--tag", "blue_sky"]).exit_code == 0
    with sheet.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, decision in zip(rows, ("accept", "reject"), strict=True):
        row["decision"] = decision
    rows.append({**rows[0], "image_id": "danbooru-1-0"})
    with sheet.open("w", encoding="utf-8", newline="") as file:
        lines = csv.DictWriter(file, rows[0])
        lines.writeheader()
        lines.writerows(rows)
    taken = runner.invoke(cli.app, ["review", "--from", str(sheet), "--who", "eve", "--why", "by hand"])
    assert "2 decisions" in taken.output, taken.exception
    assert runner.invoke(cli.app, ["review", "--export", str(out)]).exit_code == 0

    exported = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [(one["tag"], one["who"], one["why"]) for one in exported] == [("blue_sky", "eve", "by hand")] * 2


def test_answers_from_a_file_are_changed_and_taken_back_by_a_file(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = copied(mirror, tmp_path)
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(mirror.config_file))
    file, runner = tmp_path / "answers.csv", CliRunner()

    def hand_in(*lines: str, who: str = "ada") -> str:
        file.write_text("\n".join(("image_id,tag,decision", *lines)) + "\n", "utf-8")
        result = runner.invoke(cli.app, ["review", "--from", str(file), "--who", who])
        return " ".join(result.output.split()) + str(result.exception or "")

    first, second = "danbooru-5950-0,blue_sky", "danbooru-5951-0,blue_sky"
    assert "2 decisions;" in hand_in(f"{first},accept", f"{second},accept")
    assert hand_in(f"{first},accept", f"{second},reject").startswith("1 decision;")  # the other was said before
    assert "blue_sky: ada has answered it; left as it is" in hand_in(f"{first},reject", who="eve")
    assert "1 decision;" in hand_in(f"{first},undo")
    asking = ["review", "--again", "--who", "ada", "--questions", str(file)]
    assert "wrote 1 question to" in " ".join(runner.invoke(cli.app, asking).output.split())
    with file.open(encoding="utf-8", newline="") as lines:
        assert [(row["image_id"], row["decision"]) for row in csv.DictReader(lines)] == [("danbooru-5951-0", "reject")]
    undo = ["review", "--undo", *second.split(",")]
    assert "answer that counts is ada's" in str(runner.invoke(cli.app, [*undo, "--who", "eve"]).exception)
    assert "1 decision;" in runner.invoke(cli.app, [*undo, "--who", "ada"]).output
    assert "no answer counts" in str(runner.invoke(cli.app, [*undo, "--who", "ada"]).exception)


def test_a_file_with_one_wrong_line_decides_nothing(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = copied(mirror, tmp_path)
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(mirror.config_file))
    file = tmp_path / "answers.csv"
    file.write_text(
        "image_id,tag,decision\ndanbooru-5950-0,blue_sky,accept\ndanbooru-5951-0,blue_sky,perhaps\n", "utf-8"
    )

    result = CliRunner().invoke(cli.app, ["review", "--from", str(file)])

    assert "line 3: expected image_id, tag and a decision" in str(result.exception)
    assert not (mirror.root / "decisions").exists()


def test_without_disagreements_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(NothingToReview, match="tag_disagreements is not built"):
        questions(Mirror.make(tmp_path, posts_by_year=0).config, Wanted([CELL]))
