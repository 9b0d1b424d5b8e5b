import io
import os
import random
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.storage import archives
from dataset_assets.storage.archives import (
    DamagedMember,
    LocationMissing,
    TooLarge,
    list_members,
    open_location,
    read_location,
    stat_location,
)

NOISE = random.Random(7).randbytes(300_000)


@pytest.fixture(autouse=True)
def _closed_archives() -> Iterator[None]:
    yield
    archives.close_archives()


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def central_field(archive: Path, offset: int, value: bytes) -> None:
    """Overwrite bytes of the first member's entry in the archive's directory."""
    content = bytearray(archive.read_bytes())
    start = content.index(b"PK\x01\x02") + offset
    content[start : start + len(value)] = value
    archive.write_bytes(content)


def open_files_of(folder: Path) -> int:
    paths = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if _is_link(number)]
    return sum(path.startswith(str(folder)) for path in paths)


def _is_link(number: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{number}")


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted through /proc")


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "what a day!.png"
    file.write_bytes(b"pixels")

    assert read_location(str(file), 6) == b"pixels"
    assert stat_location(str(file)) == (6, file.stat().st_mtime_ns)


@pytest.mark.parametrize("name", ["a.png", "深い/雪 (1)!.png", "b.zip!c.png"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_is_read_in_place(tmp_path: Path, name: str, method: int) -> None:
    location = f"{zipped(tmp_path / 'a.ZIP', {name: NOISE}, method)}!{name}"

    assert read_location(location, len(NOISE)) == NOISE
    assert stat_location(location) == (len(NOISE), zlib.crc32(NOISE))
    with open_location(location) as stream:
        assert stream.read(10) + stream.read() == NOISE
    assert os.listdir(tmp_path) == ["a.ZIP"]


def test_an_empty_file_and_an_empty_member_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    zipped(tmp_path / "a.zip", {"b.png": b""})

    assert read_location(str(tmp_path / "a.png"), 0) == read_location(f"{tmp_path}/a.zip!b.png", 0) == b""


@pytest.mark.parametrize(
    "location",
    [
        "b.png",
        "b.zip!a.png",
        "a.zip!b.png",
        "a.zip!../a.png",
        "a.zip/b.png",
        "a.zip/b.zip!a.png",
        "folder.zip!a.png",
        "\0",
    ],
)
def test_what_is_not_there_is_missing(tmp_path: Path, location: str) -> None:
    zipped(tmp_path / "a.zip", {"a.png": b"pixels"})
    (tmp_path / "folder.zip").mkdir()

    for ask in (lambda name: read_location(name, 10), stat_location, lambda name: open_location(name).__enter__()):
        with pytest.raises(LocationMissing):
            ask(f"{tmp_path}/{location}")


def test_a_folder_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for location in (str(tmp_path), str(tmp_path / "pipe")):
        with pytest.raises(LocationMissing, match="not a regular file"):
            read_location(location, 10)


def test_more_bytes_than_the_limit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1234567")
    zipped(tmp_path / "a.zip", {"a.png": b"1234567"})

    for location in (f"{tmp_path}/a.png", f"{tmp_path}/a.zip!a.png"):
        with pytest.raises(TooLarge, match="7 bytes, expected at most 6"):
            read_location(location, 6)


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a file that claims 0 bytes and has more")
def test_a_file_that_has_more_bytes_than_it_claims_is_cut_at_the_limit() -> None:
    assert stat_location("/proc/version").size == 0
    with pytest.raises(TooLarge, match="more than 5 bytes were read; 0 were claimed"):
        read_location("/proc/version", 5)


def test_a_wrong_byte_is_found_by_the_crc(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.png": NOISE}, zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    content[1000] ^= 1
    archive.write_bytes(content)

    with pytest.raises(DamagedMember, match="Bad CRC-32"):
        read_location(f"{archive}!a.png", len(NOISE))
    with open_location(f"{archive}!a.png") as stream, pytest.raises(DamagedMember, match="Bad CRC-32"):
        stream.read()


@pytest.mark.parametrize("size", [9, 11, 5000])
def test_a_member_with_another_size_than_claimed_is_damaged(tmp_path: Path, size: int) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.png": b"0123456789"})
    central_field(archive, 24, struct.pack("<I", size))

    with pytest.raises(DamagedMember):
        read_location(f"{archive}!a.png", 10_000)


def test_x2_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.png": b"pixels"})
    central_field(archive, 8, b"\x01")

    with pytest.raises(DamagedMember, match="encrypted"):
        read_location(f"{archive}!a.png", 10)


def test_x2_a_member_of_another_compression_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.png": b"pixels"}, zipfile.ZIP_LZMA)

    with pytest.raises(DamagedMember, match="method 14"):
        read_location(f"{archive}!a.png", 10)


def test_x2_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.png": bytes(20 << 20)})

    with pytest.raises(DamagedMember, match="100:1"), open_location(f"{archive}!a.png"):
        pass


def test_a_cut_off_archive_is_damaged(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.png": b"pixels"})
    archive.write_bytes(archive.read_bytes()[:-30])

    with pytest.raises(DamagedMember, match="not a zip file"):
        read_location(f"{archive}!a.png", 10)


def test_x2_unsafe_members_are_listed_with_their_problem(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.png": b"pixels", "../b.png": b"pixels"})

    found = list_members(archive)

    assert list(found.safe) == ["a.png"]
    assert [name for name, _ in found.unsafe] == ["../b.png"]
    with pytest.raises(DamagedMember, match=r"'\.\.' part"):
        read_location(f"{archive}!../b.png", 10)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_archive_gives_the_right_bytes_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    members = {"a/1.png": b"hello" * 40, "a/雪.png": b"x" * 30}
    archive = tmp_path_factory.getbasetemp() / "fuzzed.zip"
    content = bytearray(zipped(archive, members).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    archive.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)

    for name, original in members.items():
        with suppress(LocationMissing, DamagedMember, TooLarge):
            assert read_location(f"{archive}!{name}", 1000) == original
    archives.close_archives()


@needs_proc
def test_an_archive_is_opened_once_and_only_a_few_stay_open(tmp_path: Path) -> None:
    locations = [
        f"{zipped(tmp_path / f'{n}.zip', {'a.png': b'%d' % n})}!a.png" for n in range(archives.OPEN_ARCHIVES + 3)
    ]

    assert [read_location(location, 10) for location in locations * 2] == [b"%d" % n for n in range(len(locations))] * 2
    assert open_files_of(tmp_path) == archives.OPEN_ARCHIVES
    assert list_members(tmp_path / "0.zip") is list_members(tmp_path / "0.zip")

    archives.close_archives()
    assert open_files_of(tmp_path) == 0


def test_a_replaced_archive_is_read_anew(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.png": b"old"})
    assert read_location(f"{archive}!a.png", 10) == b"old"

    os.replace(zipped(tmp_path / "b", {"a.png": b"new"}), archive)

    assert read_location(f"{archive}!a.png", 10) == b"new"


@needs_proc
def test_a_stream_outlives_the_archive_that_had_to_make_room(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.png": NOISE})

    with open_location(f"{archive}!a.png") as stream:
        beginning = stream.read(10)
        archives.close_archives()
        assert beginning + stream.read() == NOISE
    assert open_files_of(tmp_path) == 0


def test_threads_share_archives_without_mixing_their_bytes(tmp_path: Path) -> None:
    contents = {f"{n}.png": NOISE[n * 1000 :][:50_000] for n in range(6)}
    paths = [zipped(tmp_path / f"{n}.zip", contents) for n in range(archives.OPEN_ARCHIVES + 2)]
    wrong: list[str] = []

    def read_all(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(60):
            name = choose.choice(list(contents))
            if read_location(f"{choose.choice(paths)}!{name}", 50_000) != contents[name]:
                wrong.append(name)

    threads = [threading.Thread(target=read_all, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert wrong == []


FORKED = """
import os, sys
from dataset_assets.storage.archives import read_location
location = sys.argv[1] + "!{}.png"
read_location(location.format(0), 1 << 20)
child = os.fork()
right = all(read_location(location.format(n % 4), 1 << 20) == bytes([n % 4]) * 200_000 for n in range(200))
if child:
    sys.exit(0 if right and os.waitpid(child, 0)[1] == 0 else 1)
os._exit(0 if right else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_process_does_not_disturb_its_parents_reads(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {f"{n}.png": bytes([n]) * 200_000 for n in range(4)}, zipfile.ZIP_STORED)

    finished = subprocess.run([sys.executable, "-W", "error", "-c", FORKED, archive], timeout=60, capture_output=True)

    assert (finished.returncode, finished.stderr) == (0, b"")


def test_real_ugoira_are_read_frame_by_frame(real_data: Path) -> None:
    ugoira = sorted((real_data / "images_danbooru" / "ugoira").glob("*.zip"))
    assert ugoira

    for path in ugoira:
        members = list_members(path)
        assert members.safe
        assert members.unsafe == ()
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as whole:
            assert all(read_location(f"{path}!{name}", 1 << 24) == whole.read(name) for name in members.safe)


def tarred(path: Path, members: dict[str, bytes], **facts: object) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size, header.mtime = len(content), 1_600_000_000
            for fact, value in facts.items():
                setattr(header, fact, value)
            archive.addfile(header, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["a.png", "深い/雪 (1)!.png", "b.zip!c.png", "x" * 150 + "/" + "y" * 150])
def test_a_member_of_a_tar_is_read_in_place(tmp_path: Path, name: str) -> None:
    location = f"{tarred(tmp_path / 'a.TAR', {'first.png': b'1', name: NOISE, 'last.png': b'2'})}!{name}"

    assert read_location(location, len(NOISE)) == NOISE
    assert stat_location(location) == (len(NOISE), 1_600_000_000 * 10**9)
    with open_location(location) as stream:
        assert stream.read(10) + stream.read() == NOISE
    assert os.listdir(tmp_path) == ["a.TAR"]
    with pytest.raises(TooLarge):
        read_location(location, len(NOISE) - 1)
    with pytest.raises(LocationMissing):
        read_location(f"{tmp_path}/a.TAR!none.png", 10)


@needs_proc
def test_a_replaced_tar_is_read_anew_and_a_stream_outlives_it(tmp_path: Path) -> None:
    archive = tarred(tmp_path / "a.tar", {"a.png": NOISE})
    with open_location(f"{archive}!a.png") as stream:
        beginning = stream.read(10)
        os.replace(tarred(tmp_path / "b", {"a.png": b"new"}), archive)
        assert read_location(f"{archive}!a.png", 10) == b"new"
        assert beginning + stream.read() == NOISE
    archives.close_archives()
    assert open_files_of(tmp_path) == 0


def test_x1_a_tar_with_links_devices_and_paths_out_gives_no_byte_of_another_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"canary")
    before = sorted(tmp_path.rglob("*"))
    hostile = {
        "../out.png": {},
        str(secret): {},
        "link.png": {"type": tarfile.SYMTYPE, "linkname": str(secret)},
        "hard.png": {"type": tarfile.LNKTYPE, "linkname": str(secret)},
        "pipe.png": {"type": tarfile.FIFOTYPE},
        "device.png": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3},
    }
    for number, (name, facts) in enumerate(hostile.items()):
        archive = tarred(tmp_path / f"{number}.tar", {name: b""}, **facts)
        assert list_members(archive).safe == {}
        with pytest.raises(DamagedMember):
            read_location(f"{archive}!{name}", 100)
        archive.unlink()
    set_user = tarred(tmp_path / "mode.tar", {"a.png": b"pixels"}, mode=0o6777)
    assert read_location(f"{set_user}!a.png", 10) == b"pixels"  # nothing is unpacked, so no mode is ever set
    set_user.unlink()
    assert sorted(tmp_path.rglob("*")) == before


def test_x1_a_tar_that_is_cut_off_or_is_none_is_damaged(tmp_path: Path) -> None:
    archive = tarred(tmp_path / "a.tar", {"a.png": NOISE})
    whole = archive.read_bytes()
    for content in (
        whole[:-11_000],
        whole[:100],
        b"",
        b"hello" * 1000,
        zipped(tmp_path / "z", {"a": b"b"}).read_bytes(),
    ):
        archive.write_bytes(content)
        with pytest.raises(DamagedMember):
            read_location(f"{archive}!a.png", len(NOISE))


def test_x3_names_of_windows_devices_and_names_that_differ_in_case_are_kept_apart(tmp_path: Path) -> None:
    members = {"CON": b"1", "A.jpg": b"2", "a.jpg": b"3", "nul.png": b"4"}
    for archive in (zipped(tmp_path / "a.zip", members), tarred(tmp_path / "a.tar", members)):
        assert {name: read_location(f"{archive}!{name}", 10) for name in members} == members


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_x3_two_members_of_one_name_are_both_refused(tmp_path: Path, pack: Any) -> None:
    archive = pack(tmp_path / ("a.zip" if pack is zipped else "a.tar"), {"a.png": b"1", "b.png": b"2"})
    archive.write_bytes(_renamed(archive.read_bytes()) if pack is zipped else _two_of_one_name())

    with pytest.raises(DamagedMember, match="members have this name"):
        read_location(f"{archive}!a.png", 10)


def _renamed(content: bytes) -> bytes:
    return content.replace(b"b.png", b"a.png")


def _two_of_one_name() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for content in (b"1", b"2"):
            header = tarfile.TarInfo("a.png")
            header.size = 1
            archive.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


def test_x2_the_hostile_zips_that_danbooru_tests_with_give_named_errors_and_write_nothing(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = sorted((real_data / "images_danbooru").rglob("*.zip"))
    assert found

    for path in found:
        with suppress(DamagedMember):
            members = list_members(path)
            for name in [*members.safe, *dict(members.unsafe)]:
                with suppress(DamagedMember, TooLarge):
                    assert len(read_location(f"{path}!{name}", 1 << 20)) <= 1 << 20
    assert os.listdir(tmp_path) == []
