import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain import tar_members
from dataset_assets.domain.archive_members import TooManyMembers
from dataset_assets.domain.tar_members import DamagedTar, TarMembers, sort_out_tar


def packed(*members: tuple[str, bytes], form: int = tarfile.PAX_FORMAT, **facts: object) -> bytes:
    """A tar archive; `facts` are set on each header."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            for fact, value in facts.items():
                setattr(header, fact, value)
            archive.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


def sorted_out(content: bytes) -> TarMembers:
    return sort_out_tar(lambda offset, length: content[offset : offset + length], len(content))


def read_all(content: bytes) -> dict[str, bytes]:
    return {name: content[at.offset : at.offset + at.size] for name, at in sorted_out(content).safe.items()}


LONG = "深い/" * 60 + "雪.png"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_each_format_are_found_where_their_bytes_lie(form: int) -> None:
    members = {"a.png": b"pixels" * 300, "b/c (1)!.png": b"", "d.png": b"x" * 512}
    if form != tarfile.USTAR_FORMAT:
        members[LONG] = b"deep"

    assert read_all(packed(*members.items(), form=form)) == members


def test_a_leading_dot_is_no_part_of_a_name_and_folders_are_left_out() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("./0146")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        header = tarfile.TarInfo("./0146/1.png")
        archive.addfile(header, io.BytesIO())

    assert sorted_out(buffer.getvalue()).safe.keys() == {"0146/1.png"}
    assert sorted_out(buffer.getvalue()).unsafe == ()


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.png", "a/../../b.png", "a\\b.png", "a\nb.png", "C:/a.png"])
def test_x1_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    found = sorted_out(packed((name, b"x"), ("good.png", b"y")))

    assert list(found.safe) == ["good.png"]
    assert [refused for refused, _ in found.unsafe] == [name]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, b"S"]
)
def test_x1_a_link_a_device_and_a_sparse_file_are_refused(kind: bytes) -> None:
    content = packed(("a.png", b""), type=kind, linkname="/etc/passwd")
    found = sorted_out(content)

    assert (found.safe, found.unsafe) == ({}, (("a.png", "a link or device, no regular file"),))


def test_x1_a_sparse_file_that_calls_itself_regular_is_refused() -> None:
    content = packed(("a.png", b"x"), pax_headers={"GNU.sparse.major": "1", "GNU.sparse.name": "/etc/passwd"})

    assert sorted_out(content).unsafe == (("a.png", "a sparse file"),)


def test_x1_chains_of_long_links_that_escape_an_unpacking_lead_nowhere() -> None:
    """The shape of CVE-2025-4517: links whose resolved path grows beyond what the system resolves."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        steps, path = "abcdefghijklmnop", ""
        for step in steps:
            folder = tarfile.TarInfo(path + "d" * 247)
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            link = tarfile.TarInfo(path + step)
            link.type, link.linkname = tarfile.SYMTYPE, "d" * 247
            archive.addfile(link)
            path += "d" * 247 + "/"
        escape = tarfile.TarInfo("/".join(steps) + "/" + "l" * 254)
        escape.type, escape.linkname = tarfile.SYMTYPE, "../" * 16
        archive.addfile(escape)
        through = tarfile.TarInfo("flag")
        through.type, through.linkname = tarfile.LNKTYPE, "escape/etc/passwd"
        archive.addfile(through)

    found = sorted_out(buffer.getvalue())
    assert found.safe == {}
    assert {problem for _, problem in found.unsafe} == {"a link or device, no regular file"}


def test_x3_every_copy_of_a_name_is_refused() -> None:
    found = sorted_out(packed(("a.png", b"1"), ("b.png", b"2"), ("./a.png", b"3"), ("a.png", b"4")))

    assert list(found.safe) == ["b.png"]
    assert found.unsafe == (("a.png", "several members have this name"),)


def test_x3_names_that_differ_in_case_alone_are_two_members() -> None:
    assert read_all(packed(("A.jpg", b"1"), ("a.jpg", b"2"))) == {"A.jpg": b"1", "a.jpg": b"2"}


@pytest.mark.parametrize("name", ["x" * 256 + ".png", "a.jpg/..", "a\0.png", "."])
def test_x3_a_name_that_no_disk_would_hold_is_never_a_members(name: str) -> None:
    assert name not in sorted_out(packed((name, b"x"))).safe


@pytest.mark.parametrize("cut", [1, 511, 512, 700, 1024])
def test_an_archive_that_is_cut_off_is_damaged(cut: int) -> None:
    content = packed(("a.png", b"x" * 600), ("b.png", b"y" * 600))

    with pytest.raises(DamagedTar):
        sorted_out(content[: content.index(b"y" * 10) + 700 - cut])


def test_a_header_of_gigabytes_is_not_read() -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 4 << 30
    content = header.tobuf(tarfile.GNU_FORMAT)

    with pytest.raises(DamagedTar, match="a header of 4,294,967,296 bytes"):
        sort_out_tar(lambda offset, length: content[offset : offset + min(length, 512)], 8 << 30)


def test_a_time_beyond_any_column_is_cut() -> None:
    [member] = sorted_out(packed(("a.png", b"x"), form=tarfile.GNU_FORMAT, mtime=1 << 60)).safe.values()

    assert 0 < member.mtime_ns < 1 << 63


def test_an_archive_of_too_many_members_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_members, "MAX_MEMBERS", 2)

    with pytest.raises(TooManyMembers, match="more than 2 members"):
        sorted_out(packed(*((f"{number}.png", b"") for number in range(3))))


@given(st.data())
def test_a_damaged_archive_is_sorted_out_or_called_damaged(data: st.DataObject) -> None:
    content = bytearray(packed(("a.png", b"x" * 700), (LONG, b"y")))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = sorted_out(bytes(content))
    except DamagedTar:
        return
    assert all(0 <= at.offset <= at.offset + at.size <= len(content) for at in found.safe.values())
