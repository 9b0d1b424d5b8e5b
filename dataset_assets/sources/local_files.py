"""A source's files on this machine: names that do not change when the folder moves, a fingerprint, images by id."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import polars as pl

from dataset_assets.domain.schemas import REJECTED_RECORDS
from dataset_assets.sources.gallery_dl_files import IMAGE_SUFFIXES, Found, find
from dataset_assets.sources.links import LEADS_OUT, NOT_FOLLOWED

FILES_PER_BATCH = 65_536
SUFFIXES = IMAGE_SUFFIXES | {".tif", ".tiff", ".bmp", ".jfif", ".jxl", ".heic"}  # scans come as what Pixiv refuses

LOCATED = pl.Schema({"image_id": pl.String, "location": pl.String, "size": pl.Int64, "mtime_ns": pl.Int64})
_FILES = pl.Schema({"name": pl.String, "location": pl.String, "size": pl.Int64, "mtime_ns": pl.Int64})


def names_of(files: Sequence[Path]) -> dict[Path, str]:
    """Each file's path from the lowest folder that holds them all, with `/` between its parts."""
    if not files:
        return {}
    start = Path(os.path.commonpath([file.parent for file in files]))
    return {file: _printable(file.relative_to(start).as_posix()) for file in files}


def fingerprint_of(files: Sequence[Path]) -> str:
    """Hex digest of names, sizes and modification times."""
    names = names_of(files)
    stats = [(names[file], file.stat()) for file in files]
    lines = (f"{name}\0{found.st_size}\0{found.st_mtime_ns}" for name, found in stats)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def locate_images(folder: Path | None, listed: pl.DataFrame, stem: str) -> pl.DataFrame:
    """Where each listed image (`image_id`, `post_id`) lies below a folder; nowhere when there is no folder.

    `stem` is a pattern of file names without extension, with a group that is the post's id. Of the files for one image
    the first counts, in the order of their own names.
    Returns: image_id, location, size, mtime_ns and why a file of its name is not read, in the order of `listed`.
    """
    if folder is None:
        return listed.select(
            "image_id", *(pl.lit(None, LOCATED[key]).alias(key) for key in LOCATED if key != "image_id")
        )
    return locate_among(_image_files(folder), listed, stem)


def locate_among(files: pl.DataFrame, listed: pl.DataFrame, stem: str) -> pl.DataFrame:
    """The same among the files of a listing (name, location, size, mtime_ns, problem)."""
    found = _first_of_each(_readable(files, stem))
    rows = listed.select("image_id", "post_id").join(
        found.drop("problem"), on="post_id", how="left", maintain_order="left"
    )
    told = rows.join(_unread(files, stem), on="post_id", how="left", maintain_order="left")
    return told.select(*LOCATED, problem=pl.when(pl.col("location").is_null()).then("problem"))


def _unread(files: pl.DataFrame, stem: str) -> pl.DataFrame:
    """Why a file named after a post is not read, of posts that have such a one: post_id, problem."""
    unread = files.filter(pl.col("problem").is_not_null()).with_columns(post_id=_post_id(stem)).drop_nulls("post_id")
    is_link = pl.col("problem") == LEADS_OUT
    said = pl.when(is_link).then(pl.format(NOT_FOLLOWED, "name")).otherwise(pl.format("{}: {}", "name", "problem"))
    return _first_of_each(unread).select("post_id", problem=said)


def locate_urls(listed: pl.DataFrame) -> pl.DataFrame:
    """The address of each listed image, from its `file_url`; nothing is known of the file before it is asked for."""
    unknown = (pl.lit(None, LOCATED[key]).alias(key) for key in ("size", "mtime_ns"))
    return listed.select("image_id", pl.col("file_url").alias("location"), *unknown)


def orphan_images(folder: Path | None, post_ids: pl.Series, stem: str) -> pl.DataFrame:
    """Images below a folder that `locate_images` hands to no post of `post_ids`, as rows of `rejected_records`."""
    if folder is None:
        return REJECTED_RECORDS.empty()
    return orphans_among(_image_files(folder), post_ids, stem)


def orphans_among(files: pl.DataFrame, post_ids: pl.Series, stem: str) -> pl.DataFrame:
    """The same among the files of a listing."""
    read_for = _first_of_each(_readable(files, stem)).select("post_id", read="name")
    listed = pl.DataFrame({"post_id": post_ids, "is_listed": True}, schema_overrides={"post_id": pl.String}).unique()
    rows = (
        files.with_columns(post_id=_post_id(stem))
        .join(listed, on="post_id", how="left")
        .join(read_for, on="post_id", how="left")
        .filter(pl.col("problem").is_not_null() | pl.col("is_listed").is_null() | (pl.col("read") != pl.col("name")))
        .select(
            file="name",
            reason=pl.lit("orphan_file"),
            detail=pl.coalesce(
                "problem",
                pl.when("is_listed").then(pl.format("{} is read for post {}", "read", "post_id")),
                pl.lit("its name is that of no record"),
            ).str.slice(0, 500),
        )
    )
    return pl.concat([REJECTED_RECORDS.empty(), rows], how="diagonal").sort(REJECTED_RECORDS.sorted_by, nulls_last=True)


def _post_id(stem: str) -> pl.Expr:
    """The id in a file's own name, in lower case; null where it does not fit the pattern."""
    own_name = pl.col("name").str.extract(r"([^/]+)\.[^./]+$")
    return own_name.str.extract(f"^(?:{stem})$").str.to_lowercase()


def _readable(files: pl.DataFrame, stem: str) -> pl.DataFrame:
    return files.filter(pl.col("problem").is_null()).with_columns(post_id=_post_id(stem)).drop_nulls("post_id")


def _first_of_each(files: pl.DataFrame) -> pl.DataFrame:
    """One file of each post: the first by its own name, then by its folder."""
    own_name = pl.col("name").str.extract(r"([^/]+)$")
    return files.sort(own_name, "name").unique("post_id", keep="first", maintain_order=True)


def _image_files(folder: Path) -> pl.DataFrame:
    """Every image below a folder, by name: name (from the folder), location, size, mtime_ns; problem = why not read."""
    names = _image_names(folder)
    batches = [pl.DataFrame(schema={**_FILES, "problem": pl.String})]
    while batch := list(islice(names, FILES_PER_BATCH)):
        rows = [_file(folder, name) for name in batch]
        batches.append(pl.DataFrame(rows, schema=batches[0].schema, orient="row"))
    return pl.concat(batches).sort("name")


def _file(folder: Path, name: str) -> tuple[str, str | None, int | None, int | None, str | None]:
    found = find(folder, name)
    return (name, *found, None) if isinstance(found, Found) else (_printable(name), None, None, None, found)


def _printable(name: str) -> str:
    """A file's name as text; bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_image(own_name: str) -> bool:
    """Whether a file is media by its name; what a Mac leaves beside each file (`._1.png`) is not."""
    return os.path.splitext(own_name)[1].lower() in SUFFIXES and not own_name.startswith("._")


def _image_names(folder: Path) -> Iterator[str]:
    """Names of images below a folder, from that folder; links to folders are not followed."""
    waiting, within = [str(folder)], len(os.path.join(folder, ""))
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif _is_image(entry.name):
                    yield entry.path[within:]
