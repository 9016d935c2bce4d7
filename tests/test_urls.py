"""Files by URL, from a real server on loopback: what is fetched, what is refused, and how it is said."""

from __future__ import annotations

import base64
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.records.media.connections import is_private
from pipesmith.pipelines.records.media.urls import check_url, fetch, is_url

pytestmark = pytest.mark.both_lines
LIMIT = 1000


class Answers(BaseHTTPRequestHandler):
    """Answers by path; a path that begins with /to/ redirects to what follows."""

    stop = threading.Event()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("http://"):  # asked as a proxy
            self.answer(b"by proxy: " + self.path.encode())
        elif path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif path == "/loop":
            self.send_response(308)
            self.send_header("Location", "/loop")
            self.end_headers()
        elif path == "/hang":
            self.stop.wait(5)
        elif path == "/drip-head":
            self.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 100)
        elif path == "/drip-body":
            self.send_response(200)
            self.end_headers()
            self.drip(b"a" * 100)
        elif path == "/short":
            self.answer(b"half", length=9)
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            while not self.stop.is_set():
                try:
                    self.wfile.write(b"a" * 1000)
                except OSError:
                    return
        elif path == "/babble":
            self.wfile.write(b"this is no http\r\n\r\n")
        elif path == "/large":
            self.answer(b"a" * (LIMIT + 1))
        elif path == "/headers":
            self.answer(str(dict(self.headers)).encode())
        elif path == "/secret":
            self.answer(base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")))
        elif path == "/r%C3%A9sum%C3%A9%20x":
            self.answer(b"quoted")
        else:
            self.send_error(404, "No such thing, <script>")

    def do_CONNECT(self) -> None:
        self.send_error(403)

    def answer(self, body: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def drip(self, data: bytes) -> None:
        for byte in data:
            try:
                self.wfile.write(bytes([byte]))
            except OSError:
                return
            if self.stop.wait(0.05):
                return

    def log_message(self, *args: object) -> None:
        pass


def serve(server: ThreadingHTTPServer) -> Iterator[str]:
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"//127.0.0.1:{server.server_address[1]}"
    Answers.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()
    Answers.stop.clear()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    for place in serve(ThreadingHTTPServer(("0.0.0.0", 0), Answers)):
        yield f"http:{place}"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def get(url: str, *, asked: bool = True, allow_private: bool = False, timeout: float = 5) -> bytes:
    return fetch(url, asked=asked, allow_private=allow_private, limit=LIMIT, timeout=timeout)


def failure(url: str, **options: bool | float) -> str:
    with pytest.raises(InputError) as caught:
        get(url, **options)  # type: ignore[arg-type]
    return caught.value.message


def test_what_is_typed_is_fetched(server: str) -> None:
    assert get(f"{server}/résumé x#part") == b"quoted"
    assert b"pipesmith/" in get(f"{server}/headers")
    assert get(f"{server}/to//headers").startswith(b"{")
    assert get(server.replace("http://", "HTTP://us%40er:pass%2Fword@") + "/secret") == b"us@er:pass/word"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0177.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_private_addresses_in_data_are_refused_in_every_spelling(server: str, host: str) -> None:
    url = server.replace("127.0.0.1", host) + "/headers"
    assert "private address (" in failure(url, asked=False)
    with pytest.raises(InputError, match="private address"):
        check_url(url, allow_private=False)
    check_url(url, allow_private=True)
    assert get(server + "/headers", asked=False, allow_private=True)


def test_redirect_to_another_private_host_is_refused(server: str) -> None:
    other = server.replace("127.0.0.1", "127.0.0.2") + "/headers"
    message = failure(f"{server}/to/{other}")
    assert message == f"{server}/to/{other} redirects to a private address, 127.0.0.2 (127.0.0.2)."
    assert get(f"{server}/to/{server}/headers").startswith(b"{")
    assert get(f"{server}/to/{other}", allow_private=True).startswith(b"{")
    assert "is not an http or https URL" in failure(f"{server}/to/file:///etc/passwd")
    assert "redirects more than 5 times" in failure(f"{server}/loop")


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("8.8.8.8", False),
        ("2606:4700::1111", False),
        ("64:ff9b::8.8.8.8", False),
        ("64:ff9b::10.0.0.1", True),
        ("::ffff:169.254.169.254", True),
        ("2002:7f00:1::", True),
        ("169.254.169.254", True),
        ("10.1.2.3", True),
        ("172.16.0.1", True),
        ("192.168.0.1", True),
        ("100.64.0.1", True),
        ("0.0.0.0", True),
        ("240.0.0.1", True),
        ("224.0.0.1", True),
        ("::1", True),
        ("::", True),
        ("fe80::1%eth0", True),
        ("fec0::1", True),
        ("fd00::1", True),
    ],
)
def test_private_addresses(address: str, private: bool) -> None:
    assert is_private(address) is private


@pytest.mark.parametrize("path", ["hang", "drip-head", "drip-body"])
def test_time_limit_is_for_the_whole_fetch(server: str, path: str) -> None:
    started = time.monotonic()
    assert failure(f"{server}/{path}", timeout=0.3) == f"{server}/{path} does not answer within 0.3 s."
    assert time.monotonic() - started < 3


def test_size_limit(server: str) -> None:
    for path in ("large", "endless"):
        assert failure(f"{server}/{path}") == f"{server}/{path} is larger than 1,000 bytes."


def test_failures_are_sentences_without_secrets(server: str) -> None:
    secret = server.replace("http://", "http://user:pa55@")
    assert failure(f"{secret}/gone?signature=pa55") == f"{server}/gone?... answers 404 Not Found."
    assert failure(f"{secret}/short?signature=pa55") == f"{server}/short?... breaks off before its end."
    assert failure(f"{secret}/babble?signature=pa55").startswith(f"{server}/babble?... does not answer as http does")
    assert failure("http://127.0.0.1:1/?a=pa55") == (
        "http://127.0.0.1:1/?... cannot be reached: 127.0.0.1 refuses the connection."
    )
    assert failure("http://user:pa55@no-such-host.invalid/x") == (
        "http://no-such-host.invalid/x: no address is known for no-such-host.invalid."
    )
    for url in (
        "http://user:pa55/x@host:80/",
        "http://user:pa55@host:port/",
        "http://[",
        "http:///x",
        "ftp://a/b?pa55",
    ):
        message = failure(url)
        assert "URL" in message and "pa55" not in message
    assert "is not a URL" in failure("http://" + "a" * 70 + ".invalid/")


def test_tls_needs_a_valid_certificate(tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    try:
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs openssl")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    for place in serve(server):
        assert failure(f"https:{place}/headers").startswith(f"https:{place}/headers has no valid certificate: ")


def test_tls_on_a_plain_port(server: str) -> None:
    assert "cannot be reached securely" in failure(server.replace("http://", "https://"))


def test_proxy_of_the_environment(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server)
    monkeypatch.setenv("https_proxy", server)
    assert get("http://93.184.215.14/x?y=1", asked=False) == b"by proxy: http://93.184.215.14/x?y=1"
    assert "private address" in failure("http://10.0.0.1/x", asked=False)
    assert "403" in failure("https://93.184.215.14/x")
    monkeypatch.setenv("no_proxy", urlsplit(server).hostname or "")
    assert get(f"{server}/headers").startswith(b"{")
    monkeypatch.setenv("http_proxy", "socks5://user:pa55@127.0.0.1:1")
    assert failure("http://93.184.215.14/x") == (
        "http://93.184.215.14/x cannot be fetched through the proxy socks5://127.0.0.1:1: it is not an http proxy."
    )


def test_what_is_a_url() -> None:
    assert is_url("https://host/x") and is_url("HTTP://host")
    assert not any(map(is_url, ("http_image.png", "file:///x", b"http://host", None)))
