"""Ordinary JPEG and PNG files decoded, and any image resampled, by libraries that are faster at it than Pillow.

libjpeg-turbo (simplejpeg) decodes a JPEG of 2 million pixels in three quarters of Pillow's time, libvips a PNG in three
quarters, and libvips resamples in a third, by the same Lanczos filter. What is not ordinary is Pillow's, and so is what
either complains of: it has the last word on whether a file is whole. PNG pixels are the same whoever decodes them.
"""

import logging
import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFile

from dataset_assets.domain import colour
from dataset_assets.domain.geometry import shrink_to
from dataset_assets.domain.placement import Size

# A JPEG's decoder may shrink it by 2, 4 or 8, if so many times the size is left for the filter. Measured on drawings:
# at 1.5 their edges suffer, and more than 1.75 gains nothing. Source: benchmarks/resize.py.
JPEG_SPARE = 1.75
# From this reduction on it makes no difference how a JPEG's colours, at half the resolution, are doubled.
_PLAIN_UPSAMPLING_FROM = 2.0
# Above, pixels are averaged in blocks first: a copy of a larger image would be half a gigabyte.
_LARGE = 48_000_000
_BLOCKS_SPARE = 3.0
# So are those that are made this many times smaller; the filter alone would refuse some hundreds.
_FILTERED_WHOLE_TO = 24

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_BANDS = {"L": 1, "La": 2, "RGB": 3, "RGBa": 4, "CMYK": 4}  # what libvips is given, by Pillow's mode
_WEIGHED = {"LA": "La", "RGBA": "RGBa"}  # colours multiplied by alpha: what is hidden must not bleed into edges


class Raster(NamedTuple):
    """Pixels of 8 bits a channel, row by row, as one of Pillow's modes L, LA, RGB, RGBA or CMYK."""

    mode: str
    size: Size
    pixels: Any  # whatever has the buffer protocol


def decoded(image: ImageFile.ImageFile, data: bytes, reduction: float) -> Raster | None:
    """The pixels of an opened file, if it is an ordinary JPEG or PNG; None = Pillow is to decode it.

    A JPEG that will be made `reduction` times smaller may come out smaller already.
    """
    if image.format == "JPEG" and image.mode in ("L", "RGB"):
        return _jpeg(image, data, reduction)
    if image.format == "PNG" and _is_plain_png(image, data):
        return _png(image, data)
    return None


def _jpeg(image: ImageFile.ImageFile, data: bytes, reduction: float) -> Raster | None:
    import simplejpeg

    factor = next(f for f in (8, 4, 2, 1) if f == 1 or reduction / f >= JPEG_SPARE)
    try:
        array = simplejpeg.decode_jpeg(
            data,
            "RGB" if image.mode == "RGB" else "GRAY",
            fastupsample=reduction >= _PLAIN_UPSAMPLING_FROM,
            min_width=math.ceil(image.width / factor),
            min_height=math.ceil(image.height / factor),
            min_factor=factor,
        )
    except ValueError:  # its one kind of error, for warnings too
        return None
    return Raster(image.mode, (array.shape[1], array.shape[0]), array)


def _is_plain_png(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether its channels have 8 bits, no colour is declared transparent, and its pixels come last.

    Pillow has ways of its own with the others, and learns what stands behind the pixels only by reading them.
    """
    raw_mode = image.tile[0].args if image.tile else None
    is_plain = image.mode in ("L", "LA", "RGB", "RGBA") and raw_mode == image.mode and "transparency" not in image.info
    last_pixels = data.rfind(b"IDAT")
    comes_last = all(data.find(name, last_pixels) < 0 for name in (b"eXIf", b"iCCP", b"tRNS"))
    return is_plain and comes_last and data.endswith(_PNG_END) and image.width * image.height <= _LARGE


def _png(image: ImageFile.ImageFile, data: bytes) -> Raster | None:
    vips = _vips()
    try:
        found = vips.Image.pngload_buffer(data, access="sequential", fail_on="warning")
        if (found.width, found.height, found.bands, found.format) != (*image.size, len(image.getbands()), "uchar"):
            return None
        return Raster(image.mode, image.size, found.write_to_memory())
    except vips.Error:
        return None


def resampled(source: Raster | Image.Image, size: Size) -> Image.Image:
    """An image as L, LA, RGB, RGBA or CMYK of 8 bits and this size, by a Lanczos filter; without metadata.

    What has the size already stays as it is.
    """
    if source.size == size:
        return _image(source) if isinstance(source, Raster) else colour.unpack(source)
    if isinstance(source, Image.Image) and source.width * source.height > _LARGE:
        return shrink_to(source, size, spare=_BLOCKS_SPARE)
    weighed = _with_colours_weighed(source if isinstance(source, Raster) else _raster(colour.unpack(source)))
    vips = _vips()
    whole = vips.Image.new_from_memory(weighed.pixels, *weighed.size, _BANDS[weighed.mode], "uchar")
    across, down = size[0] / weighed.size[0], size[1] / weighed.size[1]
    gap = 0 if min(across, down) > 1 / _FILTERED_WHOLE_TO else _BLOCKS_SPARE
    scaled = whole.resize(across, vscale=down, kernel=vips.enums.Kernel.LANCZOS3, gap=gap)
    result = _image(Raster(weighed.mode, (scaled.width, scaled.height), scaled.write_to_memory()))
    return result.convert({"La": "LA", "RGBa": "RGBA"}.get(result.mode, result.mode))


def _raster(image: Image.Image) -> Raster:
    return Raster(image.mode, image.size, image.tobytes())


def _with_colours_weighed(raster: Raster) -> Raster:
    mode = _WEIGHED.get(raster.mode)
    if mode is None:
        return raster
    image = _image(raster)
    if image.getchannel("A").getextrema()[0] == 255:  # multiplied by 1
        return raster._replace(mode=mode)
    return _raster(image.convert(mode))


def _image(raster: Raster) -> Image.Image:
    pixels = raster.pixels if isinstance(raster.pixels, bytes) else np.ascontiguousarray(raster.pixels)
    return Image.frombuffer(raster.mode, raster.size, pixels, "raw", raster.mode, 0, 1)


@lru_cache(maxsize=1)
def _vips() -> Any:
    """libvips, on one thread of each worker, without its memory of earlier images and its loaders of odd formats."""
    import pyvips

    logging.getLogger(pyvips.__name__).setLevel(logging.CRITICAL)  # what it complains of goes to Pillow, and has a row
    pyvips.concurrency_set(1)
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)
    return pyvips
