"""Tests of the addresses of this host's interfaces."""

from __future__ import annotations

import contextlib
import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import ProtocolViolation
from twistedmilter.model.transaction import IPAddress
from twistedmilter.own_addresses import FRESH, OwnAddresses, interface_addresses, parse_answer, request

DONE = struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)
HERE = frozenset({ip_address("192.0.2.1")})


def message(*attributes: tuple[int, str], family: int = 2) -> bytes:
    """One RTM_NEWADDR with these addresses, by the type of the attribute."""
    body = struct.pack("=BBBBI", family, 24, 0, 0, 2)
    body += struct.pack("=HH5sxxx", 9, 3, b"eth0\0")  # IFA_LABEL, padded to a multiple of four
    for kind, text in attributes:
        packed = ip_address(text).packed
        body += struct.pack("=HH", 4 + len(packed), kind) + packed
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body


class AnswerTests(SynchronousTestCase):
    """The words of the kernel, octets in, addresses out."""

    def test_addresses(self) -> None:
        """IPv4 and IPv6; on a link between two points ours, not that of the far end."""
        answer = message((1, "10.0.0.1"), (2, "10.0.0.2")) + message((1, "2001:db8::1"), family=10)
        self.assertEqual(parse_answer(answer), ({ip_address("10.0.0.2"), ip_address("2001:db8::1")}, False))
        self.assertEqual(parse_answer(message((1, "192.0.2.1")) + DONE), (set(HERE), True))

    def test_an_error(self) -> None:
        """What the kernel refuses is no empty answer."""
        refused = struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -1)
        self.assertRaises(ProtocolViolation, parse_answer, refused)

    def test_what_is_cut_short(self) -> None:
        """It is a violation at each octet that is no end of a message."""
        whole = message((1, "192.0.2.1"))
        for size in range(1, len(whole)):
            self.assertRaises(ProtocolViolation, parse_answer, whole[:size])

    @given(st.binary(max_size=200))
    def test_garbage(self, octets: bytes) -> None:
        """Nothing but a violation comes of it."""
        with contextlib.suppress(ProtocolViolation):
            parse_answer(octets)

    def test_this_host(self) -> None:
        """The kernel that runs this test has a loopback address, or no interface that is up."""
        found = interface_addresses()
        self.assertTrue(not found or any(ip.is_loopback for ip in found), found)
        self.assertEqual(len(request()), 24)


class OwnAddressesTests(SynchronousTestCase):
    """What counts as ours."""

    def test_asked_once_a_minute(self) -> None:
        """Addresses that come later count, and loopback is not ours alone."""
        clock, now = Clock(), [HERE | {ip_address("127.0.0.1")}]
        own = OwnAddresses(clock.seconds, lambda: now[-1])
        self.assertEqual(own(), HERE)
        now.append(frozenset({ip_address("192.0.2.2")}))
        clock.advance(FRESH - 1)
        self.assertEqual(own(), HERE)
        clock.advance(1)
        self.assertEqual(own(), now[-1])

    def test_not_to_be_had(self) -> None:
        """That is told once, with the key that helps; what was known stays known."""
        clock = Clock()
        answers: list[frozenset[IPAddress] | Exception] = [HERE, OSError("not permitted"), OSError("not permitted")]

        def read() -> frozenset[IPAddress]:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        own = OwnAddresses(clock.seconds, read)
        with capturedLogs() as events:
            for _ in range(3):
                self.assertEqual(own(), HERE)
                clock.advance(FRESH)
        [told] = [formatEvent(event) for event in events]
        self.assertIn("not known (not permitted): list them in callback.own_addresses", told)
