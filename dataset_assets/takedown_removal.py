"""Removing the bytes of what was taken down, and proving that they are gone.

What is to be removed is written down before anything is: a removal that was stopped is finished by the next, and its
proof lists what either of them removed.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from dataset_assets.config import DatasetConfig
from dataset_assets.domain.schemas import RAW_IMAGES
from dataset_assets.domain.takedowns import BadTakedown, Takedown
from dataset_assets.domain.wording import counted
from dataset_assets.storage.locks import PartitionLocked
from dataset_assets.storage.root import opened
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets.storage.takedown_files import TakedownFiles
from dataset_assets.takedown_holdings import (
    RELEASES,
    REVIEW_SHEETS,
    HeldFile,
    HeldRows,
    as_records,
    cells_of,
    files_of_bytes,
    forget_in_journals,
    forget_on_this_machine,
    held_files,
    held_rows,
    scraped_files,
    shards_with,
    sheets_of,
    still_held,
    superseded_indexes,
)
from dataset_assets.takedown_undeclared import take_out_of_undeclared, undeclared_cells

OPEN, REMOVING, DONE, INCOMPLETE = "open", "removing", "done", "incomplete"
LOCK = "_takedowns"
Proof = dict[str, Any]
Say = Callable[[str], None]


def is_finished(config: DatasetConfig, one: Takedown, proof: Proof | None) -> bool:
    """Whether all that is known of a request is proven to be gone."""
    if proof is None or proof["state"] != DONE:
        return False
    is_covered = set(proof["images"]) == set(one.image_ids) and set(proof["sha256"]) == one.hashes("sha256")
    return is_covered and not any(scraped_files(config, one))  # a later scrape may have brought a file again


def remove_what_is_out(config: DatasetConfig, cells: set[Cell], say: Say) -> None:
    """Finish the requests that hit images of these partitions, or of undeclared ones, which no rebuild is of."""
    files = TakedownFiles(config.root_path)
    try:
        requests = files.active()
    except BadTakedown:
        return  # the asset `takedowns` has said so
    for one in requests:
        is_meant = cells_of(one) & cells or undeclared_cells(config, one)
        if is_meant and not is_finished(config, one, files.proof(one.id)):
            try:
                remove(config, one, say)
            except PartitionLocked as locked:
                say(f"takedown {one.id}: {locked}; `dataset-assets takedown apply` finishes it")


def plan(config: DatasetConfig, one: Takedown) -> Proof:
    """Note what holds a request's images now, beside what was noted before; nothing is removed yet."""
    files = TakedownFiles(config.root_path)
    before = files.proof(one.id) or {}
    proof: Proof = {
        "request": {name: getattr(one, name) for name in ("id", "kind", "value", "source", "reason", "who")},
        "requested_at": one.requested_at,
        "replacement": one.replacement,
        "state": before.get("state", OPEN),
        "images": sorted({*before.get("images", ()), *one.image_ids}),
        "sha256": sorted({*before.get("sha256", ()), *one.hashes("sha256")}),
        "planned": _merged(before.get("planned", []), as_records(held_files(config, one)), "file", "sha256"),
        "removed": before.get("removed", []),
        "tables": _merged(before.get("tables", []), as_records(held_rows(config, one)), "table", "partition"),
        "still_held": before.get("still_held", []),
    }
    files.write_proof(one.id, proof)
    return proof


def remove(config: DatasetConfig, one: Takedown, say: Say) -> Proof | None:
    """Remove every file of the root that holds a request's images, and write the proof.

    Returns: the proof; null = a table still says that an image is stored, so that nothing was removed.
    Raises: PartitionLocked when another process is removing.
    """
    files, tables = TakedownFiles(config.root_path), Tables(config.root_path)
    with tables.lock(LOCK, Cell()):
        plan(config, one)
        take_out_of_undeclared(config, one)
        if waits := [rows for rows in held_rows(config, one) if rows.table == RAW_IMAGES.name]:
            say(f"takedown {one.id}: {waits[0].table} {waits[0].partition} is not rebuilt yet; nothing was removed")
            return None
        proof = {**plan(config, one), "state": REMOVING}
        _plan_the_rest(config, one, proof)
        files.write_proof(one.id, proof)
        _remove_planned(config, one, proof)
        _conclude(config, one, proof)
        files.write_proof(one.id, proof)
    say(
        f"takedown {one.id}: {counted(len(proof['removed']), 'file')} removed, proof in "
        f"{opened(config.root_path).shown(files.proof_name(one.id))}"
    )
    return proof


def _plan_the_rest(config: DatasetConfig, one: Takedown, proof: Proof) -> None:
    """Add files that only their bytes, a table or a shard give away, and sheets of tables that were not made anew."""
    root = opened(config.root_path)
    known: dict[str, int | None] = dict.fromkeys(one.hashes("sha256"))
    known |= {hit.sha256: hit.size for hit in one.found if hit.sha256}
    same_bytes, _, _ = files_of_bytes(config, known)
    found = [file for file in same_bytes if not file.file.startswith(f"{RELEASES}/")]
    others = [*superseded_indexes(config, cells_of(one)), *shards_with(config, one.image_ids)]
    sheets = [*sheets_of([*held_rows(config, one), *_of_undeclared(config, proof)]), *root.names(REVIEW_SHEETS)]
    found += [
        HeldFile(name, digest, root.size(name) or 0, "")
        for name in [*others, *sheets]
        if (digest := root.sha256(name)) is not None
    ]
    proof["planned"] = _merged(proof["planned"], as_records(found), "file", "sha256")


def _of_undeclared(config: DatasetConfig, proof: Proof) -> list[HeldRows]:
    """The partitions with rows of the images that no rebuild draws a sheet of."""
    rows = [HeldRows(r["table"], r["partition"], r["rows"]) for r in proof["tables"]]
    cells = [Cell.parse(_key(r)) for r in proof["tables"]]
    return [held for held, cell in zip(rows, cells, strict=True) if not config.declares(cell.source, cell.year)]


def _remove_planned(config: DatasetConfig, one: Takedown, proof: Proof) -> None:
    root = opened(config.root_path)
    for planned in proof["planned"]:
        if root.sha256(planned["file"]) == planned["sha256"]:  # else another file has its name by now
            root.remove(planned["file"])
        root.forget_copies(planned["file"])
    for rows in proof["tables"]:
        root.forget_copies("/".join(("tables", rows["table"], Cell.parse(_key(rows)).folder, "data.parquet")))
    forget_in_journals(config, one.image_ids)
    forget_on_this_machine(config, {planned["sha256"] for planned in proof["planned"]})


def _key(rows: dict[str, str]) -> str | None:
    return None if rows["partition"] == str(Cell()) else rows["partition"]


def _conclude(config: DatasetConfig, one: Takedown, proof: Proof) -> None:
    """Say what was removed, look through the whole root for its bytes once more, and say what is left and why."""
    root = opened(config.root_path)
    gone = [planned for planned in proof.pop("planned") if root.sha256(planned["file"]) != planned["sha256"]]
    proof["removed"] = _merged(proof["removed"], gone, "file", "sha256")
    left = {(rows.table, rows.partition): rows for rows in held_rows(config, one)}
    for rows in proof["tables"]:
        now = left.pop((rows["table"], rows["partition"]), None)
        rows["left"] = 0 if now is None else now.rows
    made_anew = [HeldRows(r["table"], r["partition"], 0) for r in proof["tables"] if not r["left"]]
    proof["sheets_drawn_anew"] = [name for name in sheets_of(made_anew) if root.size(name) is not None]
    unfinished = [HeldRows(r["table"], r["partition"], r["left"]) for r in proof["tables"] if r["left"]]
    held = as_records(still_held(config, one, [*unfinished, *left.values()]))
    hashes: dict[str, int | None] = {file["sha256"]: file["bytes"] for file in proof["removed"]}
    hashes |= dict.fromkeys(one.hashes("sha256") - set(hashes)) if not hashes else {}
    found, looked_at, read = files_of_bytes(config, hashes)
    held += [_why_kept(one, file) for file in found]
    proof["searched"] = {"files": looked_at, "read": read, "hashes": len(hashes), "found": as_records(found)}
    proof["still_held"] = held
    is_done = not any(one["what"] in ("rows", "index", "file") for one in held)
    proof["state"] = DONE if is_done else INCOMPLETE
    proof["proven_at"] = datetime.now(UTC).isoformat(timespec="seconds")


def _why_kept(one: Takedown, file: HeldFile) -> dict[str, object]:
    if file.file.startswith(f"{RELEASES}/"):
        return {"what": "release", "where": file.file, "why": "published"}
    if file.sha256 in one.hashes("sha256"):
        return {"what": "file", "where": file.file, "why": "it came meanwhile; apply the takedown again"}
    return {"what": "other", "where": file.file, "why": "the file of another image, which has these very bytes"}


def _merged(before: list[dict[str, Any]], now: Iterable[dict[str, Any]], *key: str) -> list[dict[str, Any]]:
    """Records by key, those of before first in what they say."""
    records = {tuple(one[name] for name in key): one for one in now}
    records |= {tuple(one[name] for name in key): one for one in before}
    return [records[at] for at in sorted(records)]
