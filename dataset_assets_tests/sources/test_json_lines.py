"""JSON Lines are streamed out of files and archives, and nothing is lost in silence."""

import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset_assets.sources import DamagedExport, json_lines
from dataset_assets.sources.json_lines import pieces

LINES = b"".join(b'{"id": %d, "text": "%s"}\n' % (number, str(number * 7919).encode() * 9) for number in range(200))


def tar_of(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def link_to(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def read(folder: Path, name: str, content: bytes) -> dict[str, bytes]:
    """What each stream of one file holds."""
    (folder / name).write_bytes(content)
    streams: dict[str, bytes] = {}
    for piece in pieces([folder / name], folder):
        streams[piece.file] = streams.get(piece.file, b"") + piece.data
    return streams


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "posts.json": bytes,
    "posts.json.gz": gzip.compress,
    "posts.jsonl.xz": lzma.compress,
    "posts.tar": lambda content: tar_of({"posts.json": content}),
    "posts.tar.gz": lambda content: gzip.compress(tar_of({"posts.json": content})),
    "posts.tgz": lambda content: gzip.compress(tar_of({"posts.json": content})),
    "posts.tar.xz": lambda content: lzma.compress(tar_of({"posts.json": content})),
}


@pytest.mark.parametrize("name", PACKED)
def test_every_packing_gives_the_same_lines(tmp_path: Path, name: str) -> None:
    stream = f"{name}!posts.json" if "tar" in name or "tgz" in name else name
    assert read(tmp_path, name, PACKED[name](LINES)) == {stream: LINES}


@pytest.mark.parametrize("name", sorted(set(PACKED) - {"posts.json"}))
def test_file_cut_anywhere_is_damaged(tmp_path: Path, name: str) -> None:
    whole = PACKED[name](LINES)
    step = max(1, len(whole) // 60)
    # The second zero block and the filling after it say nothing that the first does not.
    end = 512 + len(LINES) + 512 - len(LINES) % 512 if name == "posts.tar" else len(whole)
    for size in {*range(0, end, step), *range(0, end, 512), end - 1}:
        with pytest.raises(DamagedExport, match=rf"{name}: .* byte [\d,]+"):
            read(tmp_path, name, whole[:size])


@pytest.mark.parametrize("name", ["posts.json.gz", "posts.jsonl.xz", "posts.tar.xz"])
def test_file_followed_by_something_else_is_damaged(tmp_path: Path, name: str) -> None:
    with pytest.raises(DamagedExport, match=name):
        read(tmp_path, name, PACKED[name](LINES) + b"GARBAGE, AND MORE OF IT")


def test_streams_that_follow_one_another_in_a_file_are_all_read(tmp_path: Path) -> None:
    assert read(tmp_path, "a.xz", lzma.compress(b"1\n") + bytes(8) + lzma.compress(b"2\n")) == {"a.xz": b"1\n2\n"}
    assert read(tmp_path, "a.gz", gzip.compress(b"1\n") + gzip.compress(b"2\n")) == {"a.gz": b"1\n2\n"}


def test_member_with_a_damaged_header_is_damage_and_no_end(tmp_path: Path) -> None:
    archive = bytearray(tar_of({"a.json": b"1\n", "b.json": b"2\n"}))
    archive[1024 + 148 : 1024 + 154] = b"999999"  # the second header's checksum
    with pytest.raises(DamagedExport, match=r"posts.tar: .*header"):
        read(tmp_path, "posts.tar", bytes(archive))


def test_only_regular_members_are_read_and_none_by_its_path(tmp_path: Path) -> None:
    members = {
        "../escape.json": b"1\n",
        "/etc/absolute.json": b"2\n",
        "link.json": link_to("link.json", "/etc/passwd"),
        "no-suffix": b"3\n",
    }
    found = read(tmp_path, "posts.tar", tar_of(members))
    assert found == {
        "posts.tar!../escape.json": b"1\n",
        "posts.tar!/etc/absolute.json": b"2\n",
        "posts.tar!no-suffix": b"3\n",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["posts.tar"]


def test_names_that_are_no_utf_8_become_text(tmp_path: Path) -> None:
    archive = tar_of({"posts.json": b"1\n"}).replace(b"posts.json", b"p\xff\xfets.json")
    header = bytearray(archive[:512])
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert read(tmp_path, "a.tar", bytes(header) + archive[512:]) == {"a.tar!p\ufffd\ufffdts.json": b"1\n"}


def test_pieces_are_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "BLOCK_BYTES", 100)
    monkeypatch.setattr(json_lines, "PIECE_BYTES", 500)
    (tmp_path / "a.json").write_bytes(LINES + b"torn")
    found = [piece.data for piece in pieces([tmp_path / "a.json"], tmp_path)]
    assert b"".join(found) == LINES + b"torn"
    assert len(found) > 20
    assert all(data.endswith(b"\n") for data in found[:-1])
    assert max(map(len, found)) < 1_000


def test_line_that_is_too_long_is_cut_and_the_next_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("BLOCK_BYTES", 100), ("PIECE_BYTES", 500), ("MAX_LINE_BYTES", 400), ("BEGINNING_BYTES", 5)):
        monkeypatch.setattr(json_lines, name, size)
    (tmp_path / "a.json").write_bytes(b"1\n" + b"x" * 2_000 + b"\n2\n" + b"y" * 900)
    found = [(piece.data, piece.is_cut) for piece in pieces([tmp_path / "a.json"], tmp_path)]
    assert found == [(b"1\n", False), (b"xxxxx", True), (b"2\n", False), (b"yyyyy", True)]


def test_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, "a.json", b"\xef\xbb\xbf{}\n") == {"a.json": b"{}\n"}


def test_files_are_named_from_the_folder_and_numbered(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.json", "sub/b.json"):
        (tmp_path / name).write_bytes(b"{}\n")
    found = [(piece.number, piece.file) for piece in pieces([tmp_path / "a.json", tmp_path / "sub/b.json"], tmp_path)]
    assert found == [(0, "a.json"), (1, "sub/b.json")]


@pytest.mark.parametrize("indent", [None, 2])
def test_array_is_a_line_for_each_element(tmp_path: Path, indent: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "BLOCK_BYTES", 64)
    array = [{"id": 1, "text": '[,]\\"日本'}, {}, 5, [{"a": None}], "x", {"id": 2}]
    content = json.dumps(array, indent=indent, ensure_ascii=False).encode()
    found = read(tmp_path, "page.json", content)["page.json"]
    assert [json.loads(line) for line in found.splitlines()] == array


@pytest.mark.parametrize("content", [b"[]", b" [ ] \n"])
def test_empty_array_has_no_lines(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, "page.json", content).get("page.json", b"") == b""


@pytest.mark.parametrize("first", [b"[]", b'[{"id": 1}]', b'[{"id": 1, "x": "torn'])
def test_line_that_is_an_array_makes_no_array_of_the_file(tmp_path: Path, first: bytes) -> None:
    content = first + b'\n{"id": 2}\n{"id": 3}\n'
    assert read(tmp_path, "a.json", content) == {"a.json": content}


@pytest.mark.parametrize("rest", [b"", b",", b', {"id": 2', b"}", b"] and more", b", nonsense]"])
def test_array_that_breaks_off_is_damaged(tmp_path: Path, rest: bytes) -> None:
    with pytest.raises(DamagedExport, match=r"page.json: the JSON array .* after element [01];"):
        read(tmp_path, "page.json", b'[{"id": 1}' + rest)


def test_element_that_is_no_utf_8_stays_as_it_is(tmp_path: Path) -> None:
    found = read(tmp_path, "page.json", b'[{"id": "\xff"}, {"id": 2}]')
    assert found == {"page.json": b'{"id": "\xff"}\n{"id": 2}\n'}
