"""Many images on one picture."""

import io
from collections.abc import Sequence

from PIL import Image

PAPER = (246, 245, 242)
GAP = 4


def contact_sheet(images: Sequence[Image.Image], *, columns: int, side: int) -> Image.Image:
    """A grid of thumbnails, each fitted into a square of `side` pixels, row by row in the given order."""
    rows = -(-len(images) // columns)
    pitch = side + GAP
    sheet = Image.new("RGB", (columns * pitch + GAP, max(rows, 1) * pitch + GAP), PAPER)
    for index, image in enumerate(images):
        thumbnail = image.convert("RGB")
        thumbnail.thumbnail((side, side), Image.Resampling.LANCZOS)
        row, column = divmod(index, columns)
        left = GAP + column * pitch + (side - thumbnail.width) // 2
        top = GAP + row * pitch + (side - thumbnail.height) // 2
        sheet.paste(thumbnail, (left, top))
    return sheet


def jpeg_within(image: Image.Image, max_bytes: int) -> bytes:
    """The image as a JPEG of at most so many bytes: quality is lowered first, then the size is halved."""
    while True:
        for quality in (85, 75, 65, 55, 45):
            with io.BytesIO() as buffer:
                image.save(buffer, "JPEG", quality=quality, optimize=True)
                if buffer.tell() <= max_bytes:
                    return buffer.getvalue()
        image = image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.LANCZOS)
