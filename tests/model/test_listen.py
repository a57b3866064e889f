"""Listening specs in two MTAs' words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.listen import ListenSpec, SystemdListen, TCPListen, UnixListen, parse_listen

MEANINGS: dict[str, ListenSpec] = {
    "unix:/run/twistedmilter/milter": UnixListen("/run/twistedmilter/milter"),
    "local:/run/twistedmilter/milter": UnixListen("/run/twistedmilter/milter"),
    "/var/run/milter/pythonsock": UnixListen("/var/run/milter/pythonsock"),
    "unix:milter.sock": UnixListen("milter.sock"),
    "inet:8890@127.0.0.1": TCPListen("127.0.0.1", 8890),
    "inet:8890": TCPListen("127.0.0.1", 8890),
    "inet:8890@Mail.Example.COM": TCPListen("mail.example.com", 8890),
    "inet:127.0.0.1:8890": TCPListen("127.0.0.1", 8890),
    "inet:localhost:8890": TCPListen("localhost", 8890),
    "inet:[::1]:8890": TCPListen("::1", 8890, ipv6=True),
    "inet6:8890": TCPListen("::1", 8890, ipv6=True),
    "inet6:8890@::1": TCPListen("::1", 8890, ipv6=True),
    "inet6:8890@[2001:DB8:0::1]": TCPListen("2001:db8::1", 8890, ipv6=True),
    "inet6:8890@localhost": TCPListen("localhost", 8890, ipv6=True),
    "INET:0@127.0.0.1": TCPListen("127.0.0.1", 0),
    "systemd:milter": SystemdListen("milter"),
    "systemd:0": SystemdListen("0"),
}

REFUSED = {
    "": "no listening address",
    "8890": "no listening address",
    "127.0.0.1:8890": "no listening address",
    "unix:": "path of the unix socket is missing",
    "unix:/run/a\nb": "control characters",
    "unix:/" + "x" * 107: "at most 107 octets",
    "inet:": "number from 0 to 65535",
    "inet:65536": "number from 0 to 65535",
    "inet:smtp@127.0.0.1": "number from 0 to 65535",
    "inet:\u0661@127.0.0.1": "number from 0 to 65535",
    "inet:8890@": "neither an address nor a host name",
    "inet:8890@127.0.0.300": "neither an address nor a host name",
    "inet:8890@a b": "neither an address nor a host name",
    "inet:8890@[mail.example.com]": "neither an address nor a host name",
    "inet:::1:8890": "stands in brackets",
    "inet6:8890@127.0.0.1": "goes with inet",
    "systemd:": "FileDescriptorName",
    "systemd:a:b": "FileDescriptorName",
    "tcp:127.0.0.1:8890": "tcp: is not a kind",
    "unixx:/run/milter": "unixx: is not a kind",
}


def listen_specs() -> st.SearchStrategy[ListenSpec]:
    """Every spec there can be, more or less."""
    ports = st.integers(0, 65_535)
    paths = st.text("abc/.-_é ", min_size=1, max_size=40)
    v4 = st.builds(lambda ip, port: TCPListen(str(ip), port), st.ip_addresses(v=4), ports)
    v6 = st.builds(lambda ip, port: TCPListen(str(ip), port, ipv6=True), st.ip_addresses(v=6), ports)
    named = st.builds(TCPListen, st.sampled_from(["localhost", "mx-1.example.com"]), ports, st.booleans())
    return st.one_of(st.builds(UnixListen, paths), v4, v6, named, st.builds(SystemdListen, st.sampled_from("m01")))


class ParseListenTests(SynchronousTestCase):
    """What each spelling means, and what is refused."""

    def test_spellings(self) -> None:
        """Sendmail's words, Postfix's and bare paths mean what A12 and milter-spec 6 say."""
        for text, expected in MEANINGS.items():
            self.assertEqual(parse_listen(text), expected, text)

    def test_one_letter_is_not_a_scheme(self) -> None:
        """A one-letter prefix belongs to the path (A12)."""
        self.assertEqual(parse_listen("c:/milter/socket"), UnixListen("c:/milter/socket"))

    def test_refused(self) -> None:
        """What is no spec is refused with a sentence that says why."""
        for text, reason in REFUSED.items():
            error = self.assertRaises(ValueError, parse_listen, text)
            self.assertIn(reason, str(error), text)

    @given(listen_specs())
    def test_round_trip(self, spec: ListenSpec) -> None:
        """The text of a spec means that spec."""
        self.assertEqual(parse_listen(str(spec)), spec)

    @given(st.text(max_size=60) | st.from_regex(r"(inet6?|unix|systemd|[a-z]+):[\[\]@:0-9a-z.]*"))
    def test_any_text(self, text: str) -> None:
        """Any text is a spec or a ValueError, and a spec's own text is read back as the same one."""
        try:
            spec = parse_listen(text)
        except ValueError:
            return
        self.assertEqual(parse_listen(str(spec)), spec)


class ListenSpecTests(SynchronousTestCase):
    """What the MTAs are to be told, and who can connect."""

    def words(self, text: str) -> tuple[str, str]:
        """What sendmail and Postfix are to be told."""
        spec = parse_listen(text)
        assert not isinstance(spec, SystemdListen)
        return spec.for_sendmail(), spec.for_postfix()

    def test_words_for_the_mtas(self) -> None:
        """The words are those that sendmail's S= and Postfix's smtpd_milters take."""
        self.assertEqual(self.words("inet:127.0.0.1:8890"), ("S=inet:8890@127.0.0.1", "inet:127.0.0.1:8890"))
        self.assertEqual(self.words("inet6:8890"), ("S=inet6:8890@[::1]", "inet:[::1]:8890"))
        self.assertEqual(self.words("local:/run/m"), ("S=unix:/run/m", "unix:/run/m"))

    def test_all_addresses_are_reached_through_loopback(self) -> None:
        """An MTA here is not told to connect to the unspecified address."""
        self.assertEqual(self.words("inet:8890@0.0.0.0"), ("S=inet:8890@127.0.0.1", "inet:127.0.0.1:8890"))
        self.assertEqual(self.words("inet6:8890@::"), ("S=inet6:8890@[::1]", "inet:[::1]:8890"))

    def test_loopback(self) -> None:
        """Loopback addresses, localhost and unix sockets are this host's alone; nothing else is taken to be."""
        for text in ("inet:1", "inet:1@127.9.9.9", "inet6:1@::1", "inet:localhost:1", "unix:/m"):
            self.assertTrue(parse_listen(text).is_loopback, text)
        for text in ("inet:1@0.0.0.0", "inet6:1@::", "inet:1@192.0.2.1", "inet:1@mail.example.com", "systemd:0"):
            self.assertFalse(parse_listen(text).is_loopback, text)

    def test_systemd_index(self) -> None:
        """A number is a place, anything else a name."""
        self.assertEqual((SystemdListen("2").index, SystemdListen("milter").index), (2, None))
        self.assertEqual(str(SystemdListen("milter")), "systemd:milter")
