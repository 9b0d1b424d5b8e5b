"""A Pixiv on loopback, and the real gallery-dl told to look for Pixiv there."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dataset_assets_tests.mirror import picture

TOKEN = "the-refresh-token-of-nobody"
# gallery-dl as it is, but for where Pixiv's two hosts are.
PROGRAM = """#!{python}
import sys
from gallery_dl.extractor import common
ask = common.Extractor.request
def request(self, url, **options):
    for host in ("https://oauth.secure.pixiv.net", "https://app-api.pixiv.net"):
        url = url.replace(host, "{endpoint}")
    return ask(self, url, **options)
common.Extractor.request = request
import gallery_dl
sys.exit(gallery_dl.main())
"""


@dataclass
class Pixiv:
    """Works by id, each a number of pages; what was asked; and how it answers."""

    works: dict[int, int] = field(default_factory=dict)
    port: int = 0
    slow_s: float = 0.0
    token: str = TOKEN
    asked: list[str] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, method: str, path: str, body: str) -> tuple[int, str, bytes]:
        address = urlsplit(path)
        self.asked.append(path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path == "/auth/token":
            return self._login(parse_qs(body).get("refresh_token", [""])[0])
        if address.path == "/v1/illust/detail":
            work = int(query["illust_id"])
            if work not in self.works:
                return _json(
                    {"error": {"user_message": "該当作品は削除されたか、存在しない作品IDです。", "message": ""}}, 404
                )
            return _json({"illust": self.illust(work)})
        if address.path == "/v1/search/illust":
            return _json({"illusts": [self.illust(work) for work in self.works], "next_url": None})
        if address.path.startswith("/img/"):
            time.sleep(self.slow_s)
            work, page = address.path.rpartition("/")[2].split(".")[0].split("_p")
            return 200, "image/png", picture(100 * int(work) + int(page))
        return _json({"error": {"message": f"no such thing: {path}"}}, 404)

    def _login(self, token: str) -> tuple[int, str, bytes]:
        if token != self.token:
            return _json({"error": "invalid_grant"}, 400)
        return _json({"response": {"access_token": "an-access-token", "user": {"id": "1", "name": "nobody"}}})

    def illust(self, work: int) -> dict[str, Any]:
        """A work as the App API gives it."""
        pages = [f"{self.endpoint}/img/{work}_p{page}.png" for page in range(self.works[work])]
        alone = len(pages) == 1
        return {
            "id": work, "title": "夜", "type": "illust", "caption": "", "restrict": 0, "x_restrict": 0,
            "user": {"id": 5, "name": "画家", "account": "painter/../..", "is_followed": False},
            "tags": [{"name": "女の子", "translated_name": "girl"}], "tools": [], "series": None,
            "create_date": "2022-11-09T02:04:04+09:00", "page_count": len(pages), "width": 48, "height": 40,
            "sanity_level": 2, "total_view": 100, "total_bookmarks": 10, "is_bookmarked": False, "visible": True,
            "is_muted": False, "illust_ai_type": 2, "illust_book_style": 0, "image_urls": {},
            "meta_single_page": {"original_image_url": pages[0]} if alone else {},
            "meta_pages": [] if alone else [{"image_urls": {"original": page}} for page in pages],
        }  # fmt: skip


def _json(content: dict[str, Any], status: int = 200) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(content).encode()


@contextmanager
def loopback_pixiv(**plan: Any) -> Iterator[Pixiv]:
    """The server, in threads of this process."""
    pixiv = Pixiv(**plan)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            status, kind, content = pixiv.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *where: object) -> None:
            pass  # a client that was killed

    with Server(("127.0.0.1", 0), Handler) as server:
        pixiv.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield pixiv
        finally:
            server.shutdown()
            thread.join()


def program_for(pixiv: Pixiv, folder: Path) -> str:
    """The path of a program that is gallery-dl with this Pixiv."""
    file = folder / "gallery-dl-on-loopback"
    file.write_text(PROGRAM.format(python=sys.executable, endpoint=pixiv.endpoint), "utf-8")
    os.chmod(file, 0o755)
    return str(file)
