"""What a card is made of, and how each part looks as Markdown and as HTML."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from dataset_assets.domain import html_page, markdown
from dataset_assets.domain.bar_plot import markup, picture
from dataset_assets.domain.drawing import Shape
from dataset_assets.domain.html_page import Bar
from dataset_assets.domain.plain_text import printable_lines

FOLDER = "card"  # of the pictures that the Markdown shows


@dataclass(frozen=True)
class Text:
    """A paragraph. is_warning: it must not be overlooked."""

    said: str
    is_warning: bool = False


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    sentences: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A table. bars: of each row, how long a bar beside it is on the page, 0 to 1; Markdown has none."""

    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""
    bars: Sequence[float] = ()


@dataclass(frozen=True)
class Plot:
    """A drawn plot. name: of its file."""

    name: str
    title: str
    shapes: Sequence[Shape]


@dataclass(frozen=True)
class Picture:
    """A JPEG. name: of its file."""

    name: str
    title: str
    jpeg: bytes


@dataclass(frozen=True)
class Code:
    """Something to copy. title: what it is for."""

    text: str
    language: str
    title: str = ""


Part = Text | Items | Grid | Plot | Picture | Code


@dataclass(frozen=True)
class Section:
    """A heading and what is below it."""

    title: str
    parts: Sequence[Part]


def pictures(sections: Sequence[Section]) -> dict[str, bytes]:
    """The files that the Markdown shows, by name."""
    parts = [part for section in sections for part in section.parts]
    drawn = {f"{FOLDER}/{part.name}.png": picture(part.shapes) for part in parts if isinstance(part, Plot)}
    return drawn | {f"{FOLDER}/{part.name}.jpg": part.jpeg for part in parts if isinstance(part, Picture)}


def as_markdown(part: Part) -> str:
    """A part as Markdown; texts from elsewhere stay texts."""
    match part:
        case Text(said, is_warning):
            return f"> {markdown.inline(said)}\n" if is_warning else f"{markdown.inline(said)}\n"
        case Items(sentences):
            return "".join(f"- {markdown.inline(sentence)}\n" for sentence in sentences)
        case Grid(heads, rows, title):
            head = f"**{markdown.inline(title)}**\n\n" if title and rows else ""
            return head + markdown.table(heads, rows)
        case Plot(name, title):
            return f"![{markdown.inline(title)}]({FOLDER}/{name}.png)\n"
        case Picture(name, title):
            return f"![{markdown.inline(title)}]({FOLDER}/{name}.jpg)\n"
        case Code(text, language, title):
            return (f"{markdown.inline(title)}:\n\n" if title else "") + markdown.code(text, language)


def as_html(part: Part) -> str:
    """A part as HTML, which needs no file beside it."""
    match part:
        case Text(said, is_warning):
            return html_page.paragraph(said, "warn" if is_warning else "")
        case Items(sentences):
            return html_page.listing(sentences)
        case Grid():
            return _html_table(part)
        case Plot(_, title, shapes):
            return f'<figure class="plot" role="img" aria-label="{escape(title)}">{markup(shapes)}</figure>'
        case Picture(_, title, jpeg):
            data = b64encode(jpeg).decode()
            return f'<figure><img alt="{escape(title)}" src="data:image/jpeg;base64,{data}"></figure>'
        case Code(text, _, title):
            head = html_page.paragraph(title) if title else ""
            return f"{head}<pre><code>{escape(printable_lines(text))}</code></pre>"


def _html_table(grid: Grid) -> str:
    rows, heads = grid.rows, grid.heads
    if grid.bars:
        rows = [(*row, Bar(part)) for row, part in zip(rows, grid.bars, strict=True)]
        heads = (*heads, "")
    made = html_page.table(heads, rows)
    return html_page.block(grid.title, made) if grid.title else made


def html_section(section: Section) -> str:
    """A section as HTML; tables that follow one another stand side by side."""
    parts, tables = [], []
    for part in section.parts:
        if isinstance(part, Grid) and part.title:
            tables.append(as_html(part))
            continue
        parts += [html_page.side_by_side(*tables), as_html(part)]
        tables = []
    return html_page.section(section.title, *parts, html_page.side_by_side(*tables))


def markdown_section(section: Section) -> str:
    """A section as Markdown."""
    body = [said for part in section.parts if (said := as_markdown(part))]
    return f"## {markdown.inline(section.title)}\n\n" + "\n".join(body) if body else ""
