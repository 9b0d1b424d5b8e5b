"""The sheets of a sitting: the pictures of its next questions, dealt so that two people at once are asked no one twice.

Which questions a sheet shows is written beside it, and holds for others while the sitting lives: it holds a lock, which
ends with its process, however that ends.
"""

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataset_assets.config import DatasetConfig
from dataset_assets.places import Place
from dataset_assets.storage.blobs import BlobMissing, Blobs
from dataset_assets.storage.locks import PartitionLocked
from dataset_assets.storage.root import opened

if TYPE_CHECKING:
    from PIL import Image

    from dataset_assets.review import Question

SHEET_IMAGES, SHEET_COLUMNS, SHEET_SIDE = 24, 6, 224
SHEETS, LOCKS = "sheets/review/", "_locks/review/"
DEALING = f"{LOCKS}dealing"
TRIES, PAUSE_S = 400, 0.2  # longer than the lock of a sitting that died lasts in a bucket

Pair = tuple[str, str]  # image_id, tag
Answered = Callable[[], Set[Pair]]


@dataclass(frozen=True)
class Sheets:
    """One sitting's place among those that are going on."""

    root: Place
    token: str

    @property
    def picture(self) -> str:
        """Where the pictures of the sheet lie: each sitting has its own."""
        return f"{SHEETS}{self.token}.jpg"

    @property
    def _list(self) -> str:
        return f"{SHEETS}{self.token}.json"

    @contextmanager
    def open(self) -> Iterator[None]:
        """While this lasts, what the sheet shows is asked of nobody else; at the end nothing of it stays."""
        root, lock = opened(self.root), f"{LOCKS}{self.token}"
        try:
            with root.lock(lock):
                try:
                    yield
                finally:
                    for name in (self._list, self.picture):
                        root.remove(name)
        finally:
            root.remove(lock)

    def deal(self, left: Sequence["Question"], answered: Answered) -> list["Question"]:
        """The next questions that nobody has answered meanwhile or is being asked; they are this sitting's from now on.

        answered: asked for what all have answered by now. Raises: PartitionLocked.
        """
        with _in_turn(self.root):
            taken = {*answered(), *asked_elsewhere(self.root, self.token)}
            dealt = [one for one in left if one.pair not in taken][:SHEET_IMAGES]
            self.keep(dealt)
        return dealt

    def keep(self, shown: Sequence["Question"]) -> None:
        """Let others know which questions the sheet shows."""
        opened(self.root).put(self._list, json.dumps([one.pair for one in shown]).encode())


def asked_elsewhere(root: Place, token: str = "") -> set[Pair]:
    """What is being asked in other sittings; what those that died have left is removed."""
    pairs: set[Pair] = set()
    for name in opened(root).names(SHEETS):
        other = name.removeprefix(SHEETS).removesuffix(".json")
        if name.endswith(".json") and other != token:
            if _is_sitting(root, other):
                with suppress(FileNotFoundError):  # it ended just now
                    pairs |= {(image_id, tag) for image_id, tag in json.loads(opened(root).get(name))}
            else:
                for left in (name, f"{SHEETS}{other}.jpg", f"{LOCKS}{other}"):
                    opened(root).remove(left)
    return pairs


def _is_sitting(root: Place, token: str) -> bool:
    try:
        with opened(root).lock(f"{LOCKS}{token}"):
            return False
    except PartitionLocked:
        return True


@contextmanager
def _in_turn(root: Place) -> Iterator[None]:
    """One sitting after the other. Raises: PartitionLocked when another takes far too long."""
    for attempt in range(TRIES):
        try:
            with opened(root).lock(DEALING):
                yield
                return
        except PartitionLocked:
            if attempt == TRIES - 1:
                raise
            time.sleep(PAUSE_S)


def draw_sheet(config: DatasetConfig, asked: Sequence["Question"], name: str) -> str:
    """Draw the pictures of the next questions, in their order, row by row; returns where the sheet `name` lies."""
    from PIL import Image

    from dataset_assets.domain.contact_sheet import contact_sheet, jpeg_within

    blobs = Blobs(config.root_path)
    blank = Image.new("RGB", (SHEET_SIDE, SHEET_SIDE), (200, 200, 200))
    pictures = [_picture(blobs, question.path) or blank for question in asked[:SHEET_IMAGES]]
    sheet = contact_sheet(pictures, columns=SHEET_COLUMNS, side=SHEET_SIDE)
    blobs.replace(name, jpeg_within(sheet, 4_000_000))
    return blobs.shown(name)


def _picture(blobs: Blobs, path: str | None) -> "Image.Image | None":
    """A training image, made by this platform; null = it is gone."""
    from PIL import Image

    if path is None:
        return None
    try:
        picture = Image.open(io.BytesIO(blobs.get(path)), formats=("JPEG", "PNG", "WEBP"))
        picture.load()
    except (BlobMissing, OSError):
        return None
    return picture
