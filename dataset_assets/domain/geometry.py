"""Where an image's pixels stand: turned upright, and made smaller without harm to edges."""

import struct

from PIL import Image

from dataset_assets.domain import colour

OVERVIEW_SIDE = 256

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(image: Image.Image) -> int | None:
    """The EXIF orientation, 1 to 8; None when there is none, or none that means anything.

    Of AVIF, the one that its rotation and mirror boxes amount to. XMP is not asked: viewers do not either.
    """
    exif = image.info.get("exif")
    if not isinstance(exif, bytes):
        return None
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        return _orientation_tag(tiff, order) if order else None
    except struct.error:  # the directory points beyond the data
        return None


def _orientation_tag(tiff: bytes, order: str) -> int | None:
    """Tag 0x0112 of the first directory. Source: TIFF 6.0, section 2."""
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, directory)
    for entry in range(entries):
        at = directory + 2 + 12 * entry
        tag, dtype = struct.unpack_from(order + "HH", tiff, at)
        if tag == 0x0112:
            (value,) = struct.unpack_from(order + ("H" if dtype == 3 else "I"), tiff, at + 8)
            return value if 1 <= value <= 8 else None
    return None


def upright(image: Image.Image) -> Image.Image:
    """The image as it is meant to be seen, its EXIF gone, so that doing it twice does no harm."""
    turn = _UPRIGHT.get(orientation(image) or 1)
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info.pop("exif", None)
    return turned


def fit_within(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """A size of the same shape, its longer side at most `max_side`: never larger than it was, no side of 0."""
    width, height = size
    longer = max(size)
    if longer <= max_side:
        return size
    return max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer))


def shrink(image: Image.Image, max_side: int, spare: float = 2.0) -> Image.Image:
    """An image as L, LA, RGB, RGBA or CMYK of 8 bits, at most `max_side` large, made as `shrink_to` makes it."""
    size = fit_within(image.size, max_side)
    if size == image.size:
        return colour.unpack(image)
    result = shrink_to(image, size, spare)
    result.info = {name: image.info[name] for name in ("icc_profile", "exif") if name in image.info}
    return result


def shrink_to(image: Image.Image, size: tuple[int, int], spare: float) -> Image.Image:
    """An image as L, LA, RGB, RGBA or CMYK of 8 bits, of a smaller size.

    Bicubic, after a mean over whole blocks down to `spare` times the size. Pillow weighs colours by their alpha, so
    that what is hidden under transparency does not bleed into edges. Large images are never copied whole.
    """
    factor = max(1, int(max(image.size) / max(size) / spare))
    small = _mean_of_blocks(image, factor)
    box = (0, 0, image.width / factor, image.height / factor)  # without what the last blocks lack
    return small.resize(size, Image.Resampling.BICUBIC, box)


def overview(image: Image.Image) -> tuple[Image.Image, colour.Rgb | None]:
    """The image as it is seen, at most 256 large: upright, in sRGB, opaque; and its background, None = none needed.

    Each pixel is a mean of those it stands for, so that a thin line leaves its trace.
    """
    return colour.flatten(colour.to_srgb(upright(shrink(image, OVERVIEW_SIDE, spare=1.0)))[0])


def _mean_of_blocks(image: Image.Image, factor: int) -> Image.Image:
    """Each pixel the mean of `factor` x `factor`; blocks at the right and lower edge may be smaller."""
    size = -(-image.width // factor), -(-image.height // factor)
    small = None
    for top, band in colour.bands(image, multiple_of=factor):
        small = small or Image.new(band.mode, size)
        small.paste(band.reduce(factor), (0, top // factor))
    assert small is not None  # an image has at least one row
    return small
