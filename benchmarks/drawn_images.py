"""Images of real size, drawn: photo-like ones full of detail and noise, line art in flat colours with dark outlines."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

KINDS = ("jpeg_1_to_3_mp", "jpeg_10_mp", "png", "png_alpha")
QUALITIES, SUBSAMPLINGS = (85, 90, 92, 95), (0, 2, 2)  # 0 = 4:4:4, 2 = 4:2:0


def draw_all(folder: Path, each: int) -> None:
    """Draw `each` files of each kind below a folder, those that are not there yet; the same files every time."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            file = folder / kind / f"{number:03}.{'png' if kind.startswith('png') else 'jpg'}"
            if not file.exists():
                file.write_bytes(_drawn(kind, number))


def _drawn(kind: str, number: int) -> bytes:
    rng = np.random.default_rng([number, KINDS.index(kind)])
    buffer = io.BytesIO()
    if kind.startswith("png"):
        _png_image(rng, number % 4 if kind == "png" else -1 - number % 2).save(buffer, "PNG", compress_level=6)
        return buffer.getvalue()
    image = photo(rng, *_size(rng)) if number % 2 else line_art(rng, *_size(rng)).convert("RGB")
    if kind == "jpeg_10_mp":
        image = _four_times(image)
    image.save(buffer, "JPEG", quality=QUALITIES[number % 4], subsampling=SUBSAMPLINGS[number % 3])
    return buffer.getvalue()


def _png_image(rng: Generator, way: int) -> Image.Image:
    """Line art on transparency (1, -1), with alpha that is never used (-2) or opaque; or a third of a photo (2)."""
    width, height = _size(rng)
    if way == 2:
        return photo(rng, round(width * 0.58), round(height * 0.58))
    art = line_art(rng, width, height, on_transparency=way in (1, -1))
    return art.convert("RGB") if way in (0, 3) else art


def _size(rng: Generator) -> tuple[int, int]:
    """Between 1 and 3 million pixels, upright or lying."""
    pixels, shape = rng.uniform(1e6, 3e6), rng.uniform(0.6, 1.5)
    return round((pixels * shape) ** 0.5), round((pixels / shape) ** 0.5)


def _four_times(image: Image.Image) -> Image.Image:
    """Four of an image side by side, mirrored, about 10 million pixels."""
    side = (2.5e6 / (image.width * image.height)) ** 0.5
    tile = image.resize((round(image.width * side), round(image.height * side)), Image.Resampling.LANCZOS)
    sheet = Image.new("RGB", (2 * tile.width, 2 * tile.height))
    for number, turn in enumerate((None, 0, 1, 3)):
        turned = tile if turn is None else tile.transpose(Image.Transpose(turn))
        sheet.paste(turned, (number % 2 * tile.width, number // 2 * tile.height))
    return sheet


def photo(rng: Generator, width: int, height: int) -> Image.Image:
    """Soft shapes over texture at all scales, with a sensor's noise."""
    luma = 128 + 55 * _texture(rng, width, height, octaves=10)[..., None]
    colour = np.stack([_texture(rng, width, height, octaves=4) for _ in range(3)], axis=-1)
    pixels = luma + 30 * colour
    for _ in range(8):
        mask = np.asarray(_blob(rng, width, height), np.float32)[..., None] / 255
        pixels += mask * 0.7 * (rng.integers(20, 235, 3) - 128)
    pixels += rng.normal(0, 2, (height, width, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _texture(rng: Generator, width: int, height: int, octaves: int) -> np.ndarray:
    total = np.zeros((height, width), np.float32)
    for octave in range(1, octaves):
        cells = (max(2, height * 2**octave // 2048 + 2), max(2, width * 2**octave // 2048 + 2))
        noise = Image.fromarray(rng.normal(0, 1, cells).astype(np.float32))
        total += 0.6**octave * np.asarray(noise.resize((width, height), Image.Resampling.BILINEAR))
    return total


def _blob(rng: Generator, width: int, height: int) -> Image.Image:
    mask = Image.new("L", (width // 2, height // 2))
    angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radii = rng.uniform(0.03, 0.15) * width * rng.uniform(0.5, 1.3, 9)
    x, y = rng.uniform(0, width / 2), rng.uniform(0, height / 2)
    ImageDraw.Draw(mask).polygon(list(zip(x + radii * np.cos(angles), y + radii * np.sin(angles), strict=True)), 255)
    return mask.filter(ImageFilter.GaussianBlur(1)).resize((width, height))


def line_art(rng: Generator, width: int, height: int, on_transparency: bool = False) -> Image.Image:
    """Flat shapes with dark outlines and loose strokes, drawn at twice the size and averaged. Returns: RGBA."""
    paper = (0, 0, 0, 0) if on_transparency else (*rng.integers(190, 255, 3).tolist(), 255)
    image = Image.new("RGBA", (2 * width, 2 * height), paper)
    draw = ImageDraw.Draw(image)
    for _ in range(25):
        outline = list(_shape(rng, 2 * width, 2 * height))
        draw.polygon(outline, fill=(*rng.integers(60, 255, 3).tolist(), 255))
        draw.line([*outline, outline[0]], fill=(30, 15, 20, 255), width=int(rng.integers(4, 12)), joint="curve")
    for _ in range(30):
        steps = rng.normal(0, 30, (20, 2)).cumsum(axis=0) + rng.uniform(0, 1, 2) * (2 * width, 2 * height)
        draw.line([tuple(step) for step in steps.tolist()], fill=(35, 25, 30, 255), width=int(rng.integers(2, 7)))
    return image.reduce(2)


def _shape(rng: Generator, width: int, height: int) -> Iterator[tuple[float, float]]:
    x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.02, 0.18) * width
    for angle in np.linspace(0, 2 * np.pi, 40, endpoint=False):
        reach = radius * (1 + 0.25 * np.sin(3 * angle + x))
        yield x + reach * np.cos(angle), y + reach * np.sin(angle)
