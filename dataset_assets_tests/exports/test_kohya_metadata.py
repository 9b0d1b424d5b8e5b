import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.members import MEMBERS
from dataset_assets.exports.kohya_metadata import META_FILES, Texts, beside, cleaned, texts_of, write_meta

ENTRIES = st.dictionaries(st.text(), st.dictionaries(st.sampled_from(["caption", "tags"]), st.text()))


@given(ENTRIES)
def test_entries_written_one_by_one_are_json_as_kohya_dumps_it(entries: dict[str, dict[str, str]]) -> None:
    stream = io.BytesIO()

    write_meta(stream, entries.items())

    assert stream.getvalue() == json.dumps(entries, indent=2).encode()


def test_no_entry_is_held() -> None:
    written: list[int] = []
    stream = io.BytesIO()

    def entries() -> Any:
        for number in range(3):
            written.append(len(stream.getvalue()))
            yield str(number), {"tags": "a"}

    write_meta(stream, entries())

    assert 0 == written[0] < written[1] < written[2] < len(stream.getvalue())


def test_the_preferred_caption_and_all_tags_are_written() -> None:
    row = dict.fromkeys(MEMBERS.schema) | {
        "captions": [{"origin": "coca", "caption": "a woman"}, {"origin": "blip", "caption": "no"}],
        "tags": [{"tag": "painter", "category": "artist"}, {"tag": "long_hair", "category": "general"}],
    }

    texts = texts_of(row)

    assert texts == Texts("a woman", ["painter", "long_hair"])
    assert cleaned(texts) == Texts("a girl", ["painter", "long hair"])
    assert beside(texts) == {".caption": b"a woman\n", ".txt": b"painter, long_hair\n"}


def test_an_image_of_which_nothing_is_said_has_files_with_a_line_and_no_caption_in_metadata() -> None:
    texts = texts_of(dict.fromkeys(MEMBERS.schema))

    assert beside(texts) == {".caption": b"\n", ".txt": b"\n"}
    assert {name: entry(texts) for name, entry in META_FILES.items()} == {
        "meta_cap": {},
        "meta_dd": {"tags": ""},
        "meta_clean": {"tags": ""},
        "meta_cap_dd": {"tags": ""},
    }
