"""The addresses of this host's own interfaces, asked of the kernel (rtnetlink(7)).

A mail exchanger that has one of them is ourselves: a callback to it would come in here and might bring about another.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final

from twisted.logger import Logger

from twistedmilter.errors import ProtocolViolation
from twistedmilter.model.transaction import IPAddress

FRESH: Final = 60.0  # seconds until the kernel is asked again: addresses come and go
PATIENCE: Final = 1.0  # seconds; the kernel answers at once

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ADDRESS: Final = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, interface
_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_ERROR, _DONE, _NEW_ADDRESS, _GET_ADDRESS = 2, 3, 20, 22
_REQUEST_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_IFA_ADDRESS, _IFA_LOCAL = 1, 2

_log = Logger()


def request() -> bytes:
    """The datagram that asks for all addresses of all interfaces."""
    size = _HEADER.size + _ADDRESS.size
    return _HEADER.pack(size, _GET_ADDRESS, _REQUEST_DUMP, 1, 0) + _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)


def parse_answer(octets: bytes) -> tuple[set[IPAddress], bool]:
    """The addresses of one datagram, and whether it is the last.

    @raise ProtocolViolation: it is none, or says that something went wrong.
    """
    found: set[IPAddress] = set()
    for kind, body in _messages(octets):
        if kind == _DONE:
            return found, True
        if kind == _ERROR:
            raise ProtocolViolation("the kernel does not tell its addresses")
        if kind == _NEW_ADDRESS and (ip := _address(body)) is not None:
            found.add(ip)
    return found, False


def _messages(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message; each begins at a multiple of four."""
    start = 0
    while start < len(octets):
        if len(octets) - start < _HEADER.size:
            raise ProtocolViolation("a netlink header is cut short")
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(octets, start)
        if not _HEADER.size <= length <= len(octets) - start:
            raise ProtocolViolation(f"a netlink message has a length of {length}")
        yield kind, octets[start + _HEADER.size : start + length]
        start += _aligned(length)


def _address(body: bytes) -> IPAddress | None:
    """The interface's own address: on a link between two points the other one is that of the far end."""
    attributes: dict[int, bytes] = {}
    start = _ADDRESS.size
    while start + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, start)
        if length < _ATTRIBUTE.size:
            raise ProtocolViolation(f"a netlink attribute has a length of {length}")
        attributes[kind] = body[start + _ATTRIBUTE.size : start + length]
        start += _aligned(length)
    packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS, b"")
    return ip_address(packed) if len(packed) in {4, 16} else None


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def interface_addresses() -> frozenset[IPAddress]:
    """The addresses of this host's interfaces as they are now.

    @raise OSError: the kernel cannot be asked, as where the service may not use netlink.
    @raise ProtocolViolation: its answer cannot be read.
    """
    found: set[IPAddress] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(PATIENCE)
        kernel.send(request())
        is_last = False
        while not is_last:
            more, is_last = parse_answer(kernel.recv(65_536))
            found |= more
    return frozenset(found)


class OwnAddresses:
    """What L{interface_addresses} says, asked again once a minute; loopback is left out, which is a matter of its own.

    When the kernel cannot be asked, that is told once, and the last that it said counts.
    """

    def __init__(
        self, seconds: Callable[[], float], read: Callable[[], frozenset[IPAddress]] = interface_addresses
    ) -> None:
        """Nothing is asked yet. @param seconds: the monotonic clock."""
        self._seconds = seconds
        self._read = read
        self._known: frozenset[IPAddress] = frozenset()
        self._next = float("-inf")
        self._is_failing = False

    def __call__(self) -> frozenset[IPAddress]:
        """The addresses."""
        now = self._seconds()
        if now >= self._next:
            self._next = now + FRESH
            self._ask()
        return self._known

    def _ask(self) -> None:
        try:
            self._known = frozenset(ip for ip in self._read() if not ip.is_loopback)
        except (OSError, ProtocolViolation) as problem:
            if not self._is_failing:
                text = "the addresses of this host are not known ({why}): list them in callback.own_addresses"
                _log.warn(text, why=str(problem))
            self._is_failing = True
        else:
            self._is_failing = False
