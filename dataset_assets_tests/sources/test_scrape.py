import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dataset_assets.config import Scrape
from dataset_assets.sources.gallery_dl_program import Run, ScrapeFailed, explain, find_program, require_no_fatal_end
from dataset_assets.sources.scrape import Scraper
from dataset_assets.sources.scrape_requests import Request
from dataset_assets_tests.loopback_pixiv import TOKEN, Pixiv, loopback_pixiv, program_for

pytest.importorskip("gallery_dl", reason="gallery-dl is not installed")

WORKS = {77: 2, 1078: 1, 79: 1}


def work(number: int) -> Request:
    return Request(f"https://www.pixiv.net/artworks/{number}", "work", str(number))


SEARCH = Request("https://www.pixiv.net/tags/%E5%A4%9C/artworks", "search", "夜")


@pytest.fixture
def pixiv() -> Iterator[Pixiv]:
    with loopback_pixiv(works=dict(WORKS)) as server:
        yield server


def scraper(pixiv: Pixiv, folder: Path, token: str | None = TOKEN, **settings: object) -> Scraper:
    scrape = Scrape.model_validate({"urls": ["https://example.org/"], "pause_s": (0, 0), "retries": 0, **settings})
    return Scraper([program_for(pixiv, folder)], scrape, folder / "fetched", folder / "state", token, lambda line: None)


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder / "fetched")) for file in (folder / "fetched").rglob("*.*"))


def images_asked(pixiv: Pixiv) -> list[str]:
    return [path for path in pixiv.asked if path.startswith("/img/")]


def test_works_and_searches_become_files_with_sidecars(pixiv: Pixiv, tmp_path: Path) -> None:
    done = scraper(pixiv, tmp_path).run([work(77), SEARCH])

    images = ["pixiv/0077/77_p0.png", "pixiv/0077/77_p1.png", "pixiv/0078/1078_p0.png", "pixiv/0079/79_p0.png"]
    assert files(tmp_path) == sorted([*images, *(f"{name}.json" for name in images)])
    assert done.states == {work(77).url: ("done", None), SEARCH.url: ("done", None)}
    assert (done.files, done.known, done.limit) == (4, 2, None)
    assert len(images_asked(pixiv)) == 4


def test_a_work_that_is_gone_and_an_address_of_no_known_site_are_told(pixiv: Pixiv, tmp_path: Path) -> None:
    unknown = Request("https://example.invalid/nothing", "url", "-")
    done = scraper(pixiv, tmp_path).run([work(5), unknown, work(79)])

    assert [done.states[url][0] for url in (work(5).url, unknown.url, work(79).url)] == ["failed", "failed", "done"]
    assert "could not be found" in str(done.states[work(5).url][1])
    assert "Unsupported URL" in str(done.states[unknown.url][1])


def test_a_refused_login_stops_the_run_and_says_what_to_set(pixiv: Pixiv, tmp_path: Path) -> None:
    pixiv.token = "another"

    with pytest.raises(ScrapeFailed, match=r"refused the login.*set PIXIV_REFRESH_TOKEN") as stopped:
        scraper(pixiv, tmp_path).run([work(77)])
    assert TOKEN not in str(stopped.value)


def test_without_a_token_the_run_stops_and_says_what_to_set(pixiv: Pixiv, tmp_path: Path) -> None:
    with pytest.raises(ScrapeFailed, match="set PIXIV_REFRESH_TOKEN"):
        scraper(pixiv, tmp_path, token=None).run([work(77)])


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes through /proc")
def test_x16_the_token_stands_in_no_file_argument_or_environment(
    pixiv: Pixiv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXIV_REFRESH_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    seen: list[bytes] = []
    answer = pixiv.answer

    def look(method: str, path: str, body: str) -> tuple[int, str, bytes]:
        for process in psutil.Process().children(recursive=True):
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            if b"gallery-dl" in command:
                seen.extend((command, Path(f"/proc/{process.pid}/environ").read_bytes()))
        return answer(method, path, body)

    pixiv.answer = look  # type: ignore[method-assign]
    scraper(pixiv, tmp_path).run([work(77)])

    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert len(seen) >= 4, "the guard and the program"
    for secret in (TOKEN, "another-secret", "an-access-token"):
        assert not [text for text in (*seen, *written) if secret.encode() in text]


def test_settings_of_the_user_are_not_read(pixiv: Pixiv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = tmp_path / "canary"
    hostile = {"extractor": {"postprocessors": [{"name": "exec", "command": f"touch {canary}"}]}}
    for name in (".gallery-dl.conf", "state/.gallery-dl.conf", "state/.config/gallery-dl/config.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(hostile), "utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))

    scraper(pixiv, tmp_path).run([work(79)])
    assert files(tmp_path)
    assert not canary.exists()


def test_a_sidecar_that_a_kill_kept_from_being_written_is_written_when_the_image_is_met_again(
    pixiv: Pixiv, tmp_path: Path
) -> None:
    one = scraper(pixiv, tmp_path)
    one.run([work(79)])
    one.forget()
    (tmp_path / "fetched/pixiv/0079/79_p0.png.json").unlink()

    done = one.run([work(79)])

    assert (tmp_path / "fetched/pixiv/0079/79_p0.png.json").is_file()
    assert (done.files, done.known, len(images_asked(pixiv))) == (0, 1, 1)


def test_what_was_asked_is_not_asked_again_until_the_scrape_is_finished(pixiv: Pixiv, tmp_path: Path) -> None:
    one = scraper(pixiv, tmp_path)
    first = one.run([work(79)])
    asked = len(pixiv.asked)

    assert one.run([work(79)]).states == first.states
    assert len(pixiv.asked) == asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "slow_s", "limit"), [({"max_seconds": 3.0}, 2.0, "time"), ({"max_bytes": 1}, 2.0, "bytes")]
)
def test_a_limit_ends_the_run_and_the_next_goes_on(
    pixiv: Pixiv, tmp_path: Path, limits: dict[str, object], slow_s: float, limit: str
) -> None:
    pixiv.slow_s = slow_s
    requests = [work(79), work(77), work(1078)]
    stopped = scraper(pixiv, tmp_path, **limits).run(requests)
    assert stopped.limit == limit
    assert len(stopped.states) < 3
    assert not [process for process in psutil.Process().children(recursive=True) if "gallery" in process.name()]

    pixiv.slow_s = 0
    finished = scraper(pixiv, tmp_path).run(requests)
    assert {state for state, _ in finished.states.values()} == {"done"}
    assert len(files(tmp_path)) == 8


SCRAPING = """
import sys
from pathlib import Path
from dataset_assets.config import Scrape
from dataset_assets.sources.scrape import Scraper
from dataset_assets.sources.scrape_requests import Request
folder = Path(sys.argv[1])
requests = [Request(f"https://www.pixiv.net/artworks/{work}", "work", work) for work in sys.argv[4:]]
scrape = Scrape(urls=["https://example.org/"], pause_s=(0, 0))
Scraper([sys.argv[2]], scrape, folder / "fetched", folder / "state", sys.argv[3], print).run(requests)
"""


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_leaves_no_process_and_fetches_nothing_twice(
    pixiv: Pixiv, tmp_path: Path, sign: signal.Signals
) -> None:
    pixiv.works = dict.fromkeys(range(1, 9), 1)
    pixiv.slow_s = 0.3
    works = [str(number) for number in pixiv.works]
    command = [sys.executable, "-c", SCRAPING, str(tmp_path), program_for(pixiv, tmp_path), TOKEN, *works]
    run = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.getcwd()}, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(tmp_path.rglob("*.png"))) >= 3)
    family = psutil.Process(run.pid).children(recursive=True)
    assert family
    run.send_signal(sign)
    run.wait(timeout=20)

    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    whole = {file.name for file in tmp_path.rglob("*.png")}
    before = len(pixiv.asked)
    pixiv.slow_s = 0
    done = scraper(pixiv, tmp_path).run([work(int(number)) for number in works])

    assert {state for state, _ in done.states.values()} == {"done"}
    assert len(done.states) == len(works)
    assert len(files(tmp_path)) == 2 * len(works)
    assert not whole & {path.rpartition("/")[2] for path in pixiv.asked[before:]}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "unexpected error"),
        (16, "refused the login"),
        (128, "could not write"),
        (20, "refused the login"),
    ],
)
def test_an_end_that_the_next_request_would_meet_again_stops_the_run(code: int, said: str) -> None:
    with pytest.raises(ScrapeFailed, match=said):
        require_no_fatal_end(Run(code=code))


@pytest.mark.parametrize("code", [0, 4, 8, 64, 76, None])
def test_an_end_of_single_requests_does_not(code: int | None) -> None:
    require_no_fatal_end(Run(code=code))
    assert explain(Run(code=code)).startswith("gallery-dl: ")


def test_a_machine_without_gallery_dl_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(ScrapeFailed, match=r"pip install 'dataset_assets\[gallery-dl\]'"):
        find_program(None)
