"""What a search found, as one HTML page that needs nothing beside it."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from dataset_assets.domain.wording import counted

_STYLE = """
body{margin:24px;font:14px/1.4 system-ui,sans-serif;background:#f6f5f2;color:#222}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:16px}
figure{margin:0}figure div{height:200px;display:flex;align-items:center;justify-content:center;background:#fff}
img{max-width:100%;max-height:200px}figcaption{overflow-wrap:anywhere}small{color:#666}
"""
LINKED = ("https://", "http://")


class Result(NamedTuple):
    """One image: what is said of it, where its page is, and a picture of it as JPEG; null = there is none."""

    image_id: str
    score: float | None
    facts: Mapping[str, object]
    page_url: str | None
    jpeg: bytes | None


def result_page(title: str, results: Sequence[Result], notes: Sequence[str] = ()) -> str:
    """The page, images in the given order. Every text is escaped; nothing is fetched and nothing runs."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{said}"
        f"<p>{counted(len(results), 'image')}</p><main>"
        f"{''.join(_figure(result) for result in results)}</main></body></html>\n"
    )


def _figure(result: Result) -> str:
    name = escape(result.image_id)
    if (result.page_url or "").startswith(LINKED):
        name = f'<a rel="noreferrer noopener" href="{escape(str(result.page_url))}">{name}</a>'
    picture = "<small>no file</small>"
    if result.jpeg is not None:
        data = base64.b64encode(result.jpeg).decode()
        picture = f'<img alt="{escape(result.image_id)}" src="data:image/jpeg;base64,{data}">'
    score = "" if result.score is None else f"<b>{result.score:.4f}</b> "
    facts = ", ".join(f"{key} {value}" for key, value in result.facts.items() if value is not None)
    return (
        f"<figure><div>{picture}</div><figcaption>{score}{name}<br><small>{escape(facts)}</small></figcaption></figure>"
    )
