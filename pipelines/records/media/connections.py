"""Connections that end in time, and which addresses are private: what `urls.py` fetches with."""

from __future__ import annotations

import functools
import http.client
import io
import ipaddress
import socket
import ssl
import time
from typing import Any

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_private(address: str) -> bool:
    """Tell whether an IP address is not one of the public internet: loopback, local, link-local, reserved, ..."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        last = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        inner = ip.ipv4_mapped or ip.sixtofour or last
        if inner is not None:
            return is_private(str(inner))
        if ip.is_site_local:
            return True
    return not ip.is_global or ip.is_multicast or ip.is_reserved


def resolve(host: str, port: int) -> list[str]:
    """Return the IP addresses of a name, or of any spelling of an address, in the system's order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def connect(
    addresses: list[str], port: int, deadline: float, tunnel: tuple[str, int, dict[str, str]] | None = None
) -> http.client.HTTPConnection:
    """Connect to the first address that answers; one that is silent leaves time for the others.

    Args:
        addresses: IP addresses of one host, or of a proxy.
        port: of that host.
        deadline: a moment of time.monotonic().
        tunnel: host, port and headers to ask a proxy for a tunnel with.

    Raises:
        OSError: the failure of the last one.
    """
    failure = OSError("its name has no address")
    for left, address in zip(range(len(addresses), 0, -1), addresses):
        connection = http.client.HTTPConnection(address, port, timeout=remaining(deadline) / left)
        if tunnel is not None:
            connection.set_tunnel(*tunnel)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            failure = error
        else:
            connection.sock.settimeout(remaining(deadline))
            return connection
    raise failure


@functools.cache
def tls() -> ssl.SSLContext:
    """Return the settings of TLS; made once, for reading the certificates takes longer than a small file."""
    return ssl.create_default_context()


def remaining(deadline: float) -> float:
    """Return the seconds until a moment of time.monotonic(); raises TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class TimedSocket(io.RawIOBase):
    """A socket whose every wait ends at one moment: a server that sends a byte a second cannot hold a row for hours."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(remaining(self._deadline))
        return self._sock.recv_into(buffer)

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(remaining(self._deadline))
        self._sock.sendall(data)

    def close(self) -> None:
        """Leave the socket open: http.client closes its side before the answer has been read."""
