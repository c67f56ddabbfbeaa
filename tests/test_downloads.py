"""Downloads against a local server that misbehaves on purpose."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.data.checksums import checksum_of_bytes
from bench.data.download import Download, fetch
from bench.errors import DataError

CONTENT = bytes(range(256)) * 1024  # 256 KiB
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers each request with the next of ``answers``, and with the whole file after them."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.ranges: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.ranges.append(self.headers["Range"])
                self.close_connection = True
                (outer.answers.pop(0) if outer.answers else ranged())(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/file"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def ranged(content: bytes = CONTENT, *, send: int | None = None) -> Answer:
    """Serve ``content`` from where the client asks, but only ``send`` bytes of what is promised."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "")
        start = int(wanted[1]) if wanted else 0
        if start >= len(content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if wanted else 200)
        if wanted:
            last = len(content) - 1
            handler.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        body = content[start:]
        handler.wfile.write(body if send is None else body[:send])

    return answer


def without_ranges(handler: BaseHTTPRequestHandler) -> None:
    """Serve the whole file, whatever is asked."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT)


def status(code: int) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def mirror() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def get(root: Path, *servers: Server, checksum: str = MD5, **options: Any) -> Path:
    download = Download(tuple(s.url for s in servers), "folder/file.bin", checksum)
    return fetch(download, root, backoff=0.0, timeout=5.0, **options)


def files_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_file_is_placed_and_progress_ends_at_its_size(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    path = get(tmp_path, server, progress=lambda *args: seen.append(args))
    assert path.read_bytes() == CONTENT
    assert files_below(tmp_path) == {"folder/file.bin"}
    assert seen[-1] == ("folder/file.bin", len(CONTENT), len(CONTENT))


def test_a_file_that_is_there_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    get(tmp_path, server)
    get(tmp_path, server)
    assert len(server.ranges) == 1


def test_a_cut_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    server.answers = [ranged(send=100_000), ranged(send=50_000)]
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_an_earlier_part_is_resumed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file.bin.part").write_bytes(CONTENT[:1000])
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_a_whole_part_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file.bin.part").write_bytes(CONTENT)
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert files_below(tmp_path) == {"folder/file.bin"}


@pytest.mark.parametrize("stale", [b"x" * 1000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 9)])
def test_a_part_of_another_file_is_given_up(server: Server, tmp_path: Path, stale: bytes) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file.bin.part").write_bytes(stale)
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert files_below(tmp_path) == {"folder/file.bin"}


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.answers = [ranged(send=1000), without_ranges]
    assert get(tmp_path, server).read_bytes() == CONTENT


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_passing_failure_is_tried_again(server: Server, tmp_path: Path, code: int) -> None:
    server.answers = [status(code), status(code)]
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert len(server.ranges) == 3


def test_a_lasting_failure_is_given_up(server: Server, tmp_path: Path) -> None:
    server.answers = [status(500)] * 9
    with pytest.raises(DataError, match=r"folder/file.bin\n .*HTTP 500 .*attempt 2 of 2"):
        get(tmp_path, server, attempts=2)
    assert len(server.ranges) == 2
    assert files_below(tmp_path) == set()


def test_the_next_mirror_is_asked(server: Server, mirror: Server, tmp_path: Path) -> None:
    server.answers = [status(404)]
    assert get(tmp_path, server, mirror).read_bytes() == CONTENT
    assert (len(server.ranges), len(mirror.ranges)) == (1, 1)


def test_a_mirror_goes_on_with_the_part_of_another(
    server: Server, mirror: Server, tmp_path: Path
) -> None:
    server.answers = [ranged(send=1000), status(404)]
    assert get(tmp_path, server, mirror).read_bytes() == CONTENT
    assert mirror.ranges == ["bytes=1000-"]


def test_a_mirror_with_another_file_is_passed_over(
    server: Server, mirror: Server, tmp_path: Path
) -> None:
    server.answers = [ranged(b"something else")]
    assert get(tmp_path, server, mirror).read_bytes() == CONTENT


def test_a_refused_connection_is_an_error_with_its_address(tmp_path: Path) -> None:
    closed = Server()
    closed.close()
    with pytest.raises(DataError, match=re.escape(closed.url)):
        get(tmp_path, closed, attempts=2)
    assert files_below(tmp_path) == set()


def test_a_truncated_download_is_one_clear_error(server: Server, tmp_path: Path) -> None:
    server.answers = [ranged(send=1000), *[ranged(send=0)] * 9]
    with pytest.raises(DataError, match=r"truncated: expected 262,144 bytes, received 1,000"):
        get(tmp_path, server, attempts=2)
    assert files_below(tmp_path) == {"folder/file.bin.part"}
    server.answers = []
    assert get(tmp_path, server).read_bytes() == CONTENT


def test_a_wrong_checksum_is_removed(server: Server, tmp_path: Path) -> None:
    server.answers = [ranged(b"something else")]
    found = checksum_of_bytes(b"something else", MD5)
    with pytest.raises(DataError, match=rf"expected {MD5}, found {found}; .*removed"):
        get(tmp_path, server)
    assert files_below(tmp_path) == set()


def test_a_damaged_file_stays_until_the_new_one_is_whole(server: Server, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file.bin").write_bytes(b"damaged")
    server.answers = [status(404)]
    with pytest.raises(DataError):
        get(tmp_path, server)
    assert (tmp_path / "folder/file.bin").read_bytes() == b"damaged"
    assert get(tmp_path, server).read_bytes() == CONTENT


def test_no_address_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no address is known"):
        get(tmp_path)


def test_a_root_that_is_no_folder_is_an_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    with pytest.raises(DataError, match=r"cannot write .*--data-dir"):
        get(tmp_path / "root", server)


def test_two_downloads_of_one_file_do_not_mix(server: Server, tmp_path: Path) -> None:
    started, finish = threading.Event(), threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        started.set()
        finish.wait(5)
        without_ranges(handler)

    server.answers = [slow]
    first = threading.Thread(target=get, args=(tmp_path, server))
    first.start()
    started.wait(5)
    try:
        with pytest.raises(DataError, match="another process is downloading"):
            get(tmp_path, server)
    finally:
        finish.set()
        first.join()
    assert (tmp_path / "folder/file.bin").read_bytes() == CONTENT
