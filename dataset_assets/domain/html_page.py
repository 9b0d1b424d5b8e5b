"""HTML pages that need nothing beside them: no script, nothing fetched, every text escaped."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from dataset_assets.domain.plain_text import in_cell, is_quantity, shown

LINKED = ("https://", "http://")

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light dark;--paper:#fbfaf8;--panel:#fff;--ink:#1f2328;--soft:#656d76;--line:#e3e1dc;--bar:#0072b2;
--more:#00734f;--less:#b3400a;--warn:#fff1e5}
@media(prefers-color-scheme:dark){:root{--paper:#16181c;--panel:#1e2126;--ink:#e6e6e3;--soft:#9aa1a9;--line:#33373d;
--bar:#56b4e9;--more:#4cc79a;--less:#f0925c;--warn:#3a2a1c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,"Noto Sans","Noto Sans CJK JP",sans-serif}
main{max-width:1180px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:19px;margin:36px 0 10px;padding-top:14px;border-top:1px solid var(--line)}
h3{font-size:15px;margin:18px 0 6px}
p{margin:6px 0;max-width:80ch;overflow-wrap:anywhere}
.lead{font-size:18px;color:var(--soft)}
.soft,small{color:var(--soft)}
.warn{background:var(--warn);border-left:4px solid var(--less);padding:10px 14px;margin:12px 0;max-width:none}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(240px,1fr));gap:12px;margin:18px 0}
.tile{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:10px 14px}
.tile b{display:block;font-size:21px;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.columns{columns:440px 2;column-gap:36px}
.columns>div{break-inside:avoid;padding-bottom:10px}.columns h3{margin-top:0;padding-top:8px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;color:var(--soft);font-size:13px}
th,td{padding:3px 14px 3px 0;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:break-word;max-width:28em}
.n{text-align:right;white-space:nowrap;overflow-wrap:normal}
.bar{width:26%;min-width:70px;padding-top:9px}
.bar i{display:block;height:9px;background:var(--bar);border-radius:2px;min-width:1px}
.more{color:var(--more)}.less{color:var(--less)}
pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:12px;overflow-x:auto;font-size:13px}
code{font-family:ui-monospace,monospace}
figure{margin:12px 0}
img,svg{max-width:100%;height:auto}
a{color:inherit}
"""


class Html(str):
    """Text that is HTML already; everything else is escaped."""


class Bar(NamedTuple):
    """A cell that is drawn as a bar: a share of 0 to 1."""

    part: float


class Change(NamedTuple):
    """A cell with a difference, green or red by its sign; nothing for none. said: instead of the number."""

    by: int
    said: str | None = None


def text(value: object) -> str:
    """Any value as HTML."""
    return value if isinstance(value, Html) else escape(shown(value))


def link(url: str | None, label: str) -> Html:
    """A link where the address is one of the web, else the label alone."""
    if url is None or not url.startswith(LINKED):
        return Html(escape(shown(label)))
    return Html(f'<a rel="noreferrer noopener" href="{escape(url)}">{escape(shown(label))}</a>')


def page(title: str, *parts: str) -> str:
    """A whole page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and what is below it; nothing where there is nothing."""
    body = "".join(parts)
    return f"<h2>{text(title)}</h2>{body}" if body else ""


def block(title: str, *parts: str) -> str:
    """The same within a section, as one of several columns."""
    body = "".join(parts)
    return f"<div><h3>{text(title)}</h3>{body}</div>" if body else ""


def side_by_side(*blocks: str) -> str:
    """Blocks beside one another where there is room."""
    body = "".join(blocks)
    return f'<div class="columns">{body}</div>' if body else ""


def tiles(facts: Sequence[tuple[str, object]]) -> str:
    """Large numbers, each with what it is."""
    boxes = "".join(f'<div class="tile"><b>{text(value)}</b><small>{text(name)}</small></div>' for name, value in facts)
    return f'<div class="tiles">{boxes}</div>'


def paragraph(said: object, kind: str = "") -> str:
    """One paragraph; kind: a class of the style, such as soft or warn."""
    return f'<p class="{kind}">{text(said)}</p>' if kind else f"<p>{text(said)}</p>"


def listing(items: Sequence[object]) -> str:
    """A list of sentences."""
    return f"<ul>{''.join(f'<li>{text(item)}</li>' for item in items)}</ul>" if items else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; numbers stand to the right. Nothing where there are no rows."""
    if not rows:
        return ""
    is_number = [all(_is_number(row[at]) for row in rows) for at in range(len(heads))]
    top = "".join(f"<th{_class(right)}>{text(head)}</th>" for head, right in zip(heads, is_number, strict=True))
    body = "".join(f"<tr>{''.join(_cell(*cell) for cell in zip(row, is_number, strict=True))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _is_number(value: object) -> bool:
    return isinstance(value, Change) or is_quantity(value)


def _class(is_number: bool) -> str:
    return ' class="n"' if is_number else ""


def _cell(value: object, is_number: bool) -> str:
    if isinstance(value, Bar):
        return f'<td class="bar"><i style="width:{100 * min(max(value.part, 0), 1):.2f}%"></i></td>'
    if isinstance(value, Change):
        sign, said = ("more" if value.by > 0 else "less"), text(value.said or f"{value.by:+,}")
        return f'<td class="n {sign}">{said}</td>' if value.by else '<td class="n"></td>'
    said = value if isinstance(value, Html) else in_cell(value)
    return f"<td{_class(is_number)}>{text(said)}</td>"
