"""Cookies of the name server (RFC 7873, RFC 9018)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.wire.dns_cookies import ServerCookies

SECRET = bytes(range(16))
CLIENT = b"client\0\1"
ADDRESS = b"\xc0\0\2\1"
NOW = 1_795_525_511.0


class CookieTests(SynchronousTestCase):
    """What is made, and what is known again."""

    def setUp(self) -> None:
        """One server."""
        self.cookies = ServerCookies(SECRET)

    def test_its_own(self) -> None:
        """24 octets, client cookie first, in the layout of RFC 9018: version 1, three zeros, the time."""
        cookie = self.cookies.whole(CLIENT, ADDRESS, NOW)
        self.assertEqual((len(cookie), cookie[:16]), (24, CLIENT + b"\1\0\0\0" + int(NOW).to_bytes(4, "big")))
        self.assertTrue(self.cookies.are_ours(cookie, ADDRESS, NOW + 3600))
        self.assertEqual(self.cookies.whole(cookie, ADDRESS, NOW), cookie)

    def test_another_servers(self) -> None:
        """The same secret makes the same cookies, another one others."""
        cookie = ServerCookies(SECRET[::-1]).whole(CLIENT, ADDRESS, NOW)
        self.assertFalse(self.cookies.are_ours(cookie, ADDRESS, NOW))
        self.assertTrue(ServerCookies(SECRET).are_ours(self.cookies.whole(CLIENT, ADDRESS, NOW), ADDRESS, NOW))

    def test_refused(self) -> None:
        """Another address, client or time, and a cookie that was never whole."""
        cookie = self.cookies.whole(CLIENT, ADDRESS, NOW)
        self.assertFalse(self.cookies.are_ours(cookie, b"\xc0\0\2\2", NOW))
        self.assertFalse(self.cookies.are_ours(b"x" + cookie[1:], ADDRESS, NOW))
        self.assertFalse(self.cookies.are_ours(cookie, ADDRESS, NOW + 3601))
        self.assertFalse(self.cookies.are_ours(cookie, ADDRESS, NOW - 301))
        self.assertFalse(self.cookies.are_ours(CLIENT, ADDRESS, NOW))

    def test_a_short_secret(self) -> None:
        """It is refused where it is given."""
        self.assertRaises(ValueError, ServerCookies, b"short")

    @given(st.binary(min_size=8, max_size=40))
    def test_noise(self, octets: bytes) -> None:
        """No octets are ours by chance, and none raise anything."""
        self.assertFalse(self.cookies.are_ours(octets, ADDRESS, NOW))
