"""Files fetched by URL, with limits: http and https only, no private network unasked, bounded in time and bytes.

An address is judged when its name has been resolved, and the connection goes to the address that was judged: neither
another spelling of it (0x7f.1) nor a name that resolves differently the second time gets around that.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.records.media.connections import TimedSocket, connect, is_private, resolve, tls

MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_SAFE = "%/:=&?~+!$,;'@()*[]"  # what a path or a query may hold; anything else is percent-encoded
_NAME = "Check the name; one that only a proxy knows needs --allow-private-urls."
_ALLOW = "--allow-private-urls lets URLs reach the private network."


def is_url(value: Any) -> bool:
    """Tell whether a value is text that begins with http:// or https://."""
    return isinstance(value, str) and value[:8].casefold().startswith(("http://", "https://"))


def shown(url: str) -> str:
    """Return a URL as messages show it: without the password and the query, which may hold a signature."""
    without_user = re.sub(r"^([^/?#]*//)[^/?#]*@", r"\1", url)
    return re.sub(r"\?.*", "?...", without_user.partition("#")[0])


def check_url(url: str, *, allow_private: bool) -> None:
    """Check that a URL of a data file leads to no private address, as far as its name tells.

    Args:
        url: http or https; it is not fetched.
        allow_private: whether private addresses are fine.

    Raises:
        InputError: it is not http or https, its name is not known, or its address is private.
    """
    place = _Place.parse(url)
    if not allow_private:
        with _sentences(place):
            _public_addresses(place)


def fetch(url: str, *, asked: bool, allow_private: bool, limit: int, timeout: float = 30.0) -> bytes:
    """Return what a URL answers, through the proxies of the environment.

    Args:
        url: http or https.
        asked: whether the user typed it; its host may then be private, another one that it redirects to may not.
        allow_private: whether any address may be private (loopback, link-local, the local network).
        limit: the most bytes to take.
        timeout: seconds for everything together, redirects included; resolving a name has the system's own limit.

    Raises:
        InputError: it cannot be fetched, is too large or too slow, or leads to a private address.
    """
    deadline = time.monotonic() + timeout
    place = _Place.parse(url)
    trusted = place.host if asked else None
    for _ in range(MAX_REDIRECTS + 1):
        guarded = not allow_private and place.host != trusted
        with _sentences(place, timeout), _answer(place, guarded, deadline) as response:
            location = response.getheader("Location")
            if response.status in _REDIRECTS and location:
                place = _Place.parse(urljoin(place.url, location), origin=place.origin or place.shown)
                continue
            if response.status != HTTPStatus.OK:
                raise InputError(f"{place.shown} answers {_status(response.status)}.")
            return _body(response, place, limit)
    raise InputError(f"{shown(url)} redirects more than {MAX_REDIRECTS} times.")


@dataclass(frozen=True)
class _Place:
    """A URL in the parts that a request needs.

    Args:
        url: the whole of it.
        shown: it without secrets.
        secure: whether it is https.
        host: in lower case, without brackets; a name in other letters than ASCII is IDNA-encoded.
        port: of the URL, or of its scheme.
        origin: the URL, as shown, that redirected here.
    """

    url: str
    shown: str
    secure: bool
    host: str
    port: int
    origin: str | None

    @classmethod
    def parse(cls, url: str, origin: str | None = None) -> _Place:
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
            host = host if host.isascii() else host.encode("idna").decode("ascii")
            secure = parts.scheme == "https"
            port = parts.port or (443 if secure else 80)
        except ValueError as error:  # a port that is no number, brackets, a name that IDNA does not know
            # What was wrong may be a password with a slash in it.
            raise InputError(f"{re.sub('//.*@', '//...@', url)[:80]!r} is not a URL.") from error
        if parts.scheme not in ("http", "https") or not host:
            where = f"{origin} redirects to {parts.scheme}:, which" if origin else shown(url)
            raise InputError(f"{where} is not an http or https URL.", hint="Fetch it first, and pass the file.")
        return cls(url, shown(url), secure, host, port, origin)

    def headers(self) -> dict[str, str]:
        from importlib.metadata import version

        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == (443 if self.secure else 80) else f":{self.port}"
        headers = {"Host": host + port, "User-Agent": f"pipesmith/{version('pipesmith')}", "Accept": "*/*"}
        return {**headers, **_basic("Authorization", self.url)}

    def target(self, *, absolute: bool) -> str:
        """Return what stands in the request line; a proxy wants the whole URL."""
        parts = urlsplit(self.url)
        path = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
        return f"{'https' if self.secure else 'http'}://{self.headers()['Host']}{path}" if absolute else path


def _basic(header: str, url: str) -> dict[str, str]:
    """Return the header that carries the user and password of a URL, if it has any."""
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {header: "Basic " + base64.b64encode(secret.encode()).decode("ascii")}


def _public_addresses(place: _Place) -> list[str]:
    addresses = resolve(place.host, place.port)
    for address in addresses:
        if is_private(address):
            if place.origin:
                raise InputError(
                    f"{place.origin} redirects to a private address, {place.host} ({address}).", hint=_ALLOW
                )
            raise InputError(f"{place.shown} is at a private address ({address}).", hint=_ALLOW)
    return addresses


@contextlib.contextmanager
def _answer(place: _Place, guarded: bool, deadline: float) -> Iterator[http.client.HTTPResponse]:
    """Send the request, directly or through the environment's proxy, and give the answer's head."""
    proxy = _proxy(place)
    if proxy is None:
        addresses = _public_addresses(place) if guarded else resolve(place.host, place.port)
        connection = connect(addresses, place.port, deadline)
    else:
        if guarded:
            _public_addresses(place)
        parts = urlsplit(proxy)
        port = parts.port or 80
        tunnel = (place.host, place.port, _basic("Proxy-Authorization", proxy)) if place.secure else None
        connection = connect(resolve(parts.hostname or "", port), port, deadline, tunnel)
    with contextlib.closing(connection):
        if place.secure:
            connection.sock = tls().wrap_socket(connection.sock, server_hostname=place.host)
        with contextlib.closing(connection.sock):
            connection.sock = TimedSocket(connection.sock, deadline)
            absolute = proxy is not None and not place.secure
            extra = _basic("Proxy-Authorization", proxy or "") if absolute else {}
            connection.request("GET", place.target(absolute=absolute), headers={**place.headers(), **extra})
            with connection.getresponse() as response:
                yield response


def _proxy(place: _Place) -> str | None:
    if urllib.request.proxy_bypass(place.host):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get("https" if place.secure else "http") or proxies.get("all")
    if found is None:
        return None
    proxy = found if "://" in found else f"http://{found}"
    if urlsplit(proxy).scheme != "http":
        raise InputError(f"{place.shown} cannot be fetched through the proxy {shown(proxy)}: it is not an http proxy.")
    return proxy


def _body(response: http.client.HTTPResponse, place: _Place, limit: int) -> bytes:
    body = bytearray()
    while len(body) <= limit and (response.length or 0) <= limit:
        piece = response.read(min(2**16, limit + 1 - len(body)))
        if not piece:
            if response.length:  # http.client may take the end of the connection for the end of the body
                raise http.client.IncompleteRead(bytes(body), response.length)
            return bytes(body)
        body += piece
    raise InputError(
        f"{place.shown} is larger than {limit:,} bytes.", hint="--max-row-bytes sets how large a row may be."
    )


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


@contextlib.contextmanager
def _sentences(place: _Place, timeout: float = 0) -> Iterator[None]:
    """Turn what goes wrong on the network into sentences."""
    try:
        yield
    except socket.gaierror as error:
        raise InputError(f"{place.shown}: no address is known for {place.host}.", hint=_NAME) from error
    except TimeoutError as error:
        raise InputError(f"{place.shown} does not answer within {timeout:g} s.") from error
    except ssl.SSLCertVerificationError as error:
        raise InputError(f"{place.shown} has no valid certificate: {error.verify_message}.") from error
    except ssl.SSLError as error:
        raise InputError(f"{place.shown} cannot be reached securely: {error.reason or error}.") from error
    except ConnectionRefusedError as error:
        raise InputError(f"{place.shown} cannot be reached: {place.host} refuses the connection.") from error
    except OSError as error:
        raise InputError(f"{place.shown} cannot be reached: {error.strerror or error}.") from error
    except http.client.IncompleteRead as error:
        raise InputError(f"{place.shown} breaks off before its end.") from error
    except ValueError as error:  # a name that cannot be asked for: too long, a NUL in it
        raise InputError(f"{place.shown} is not a URL.") from error
    except http.client.HTTPException as error:
        raise InputError(f"{place.shown} does not answer as http does: {type(error).__name__}.") from error
