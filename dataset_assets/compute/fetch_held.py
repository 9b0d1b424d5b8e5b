"""What is held stays held: a host that fails when it is asked again takes nothing away."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dataset_assets.compute.engine import Batch, Engine, Row, RowFunction
from dataset_assets.compute.fetch_work import HELD

STORED_BELOW = "images/raw/"  # a doubted file, whose MD5 was not the claimed one, lies elsewhere


@dataclass(frozen=True)
class HoldingEngine:
    """An engine of fetches whose failures leave a stored image as it was; `detail` says what the host answered.

    What the host says of the image itself, such as that it is withheld or may not be used, counts. `file_size` says how
    many bytes a path has, null = it is gone.
    """

    engine: Engine
    file_size: Callable[[str], int | None]

    def run(self, function: RowFunction, batches: Iterable[Sequence[Row]]) -> Iterator[Batch]:
        held: dict[str, Row] = {}

        def noted() -> Iterator[Sequence[Row]]:
            for rows in batches:
                held.update((row["image_id"], row) for row in rows if self._is_held(row))
                yield rows

        for batch in self.engine.run(function, noted()):
            results = [_kept(held.pop(row["image_id"], None), row) for row in batch.results]
            yield Batch(batch.index, results, batch.lost)

    def _is_held(self, row: Row) -> bool:
        """Whether a stored image of the claimed bytes is there."""
        path = row["held_path"]
        if path is None or not path.startswith(STORED_BELOW) or row["md5"] not in (None, row["held_md5"]):
            return False
        return bool(self.file_size(path) == row["held_size"])


def _kept(held: Row | None, result: dict[str, Any]) -> dict[str, Any]:
    if held is None or result["state"] not in ("pending", "quarantined"):
        return result
    before = {name: held[f"held_{name}"] for name in HELD}
    said = f"kept from before; asked again: {result['reason']}: {result.get('detail') or ''}"
    compared = {
        "md5_claimed": held["md5"],
        "md5_matches": None if held["md5"] is None else True,
        "extension_matches": _fits(before["format"], held["file_ext"]),
    }
    asked = {name: result.get(name) for name in ("image_id", "location", "http_status")}
    return {**asked, **before, **compared, "state": "stored", "detail": said[:500]}


def _fits(format_name: str, claimed: str | None) -> bool | None:
    """Whether the claimed extension is one of the held format; null = nothing was claimed."""
    from dataset_assets.domain.file_kinds import KINDS

    return KINDS[format_name].fits(claimed) if claimed else None
