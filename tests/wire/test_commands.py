"""Payloads of the MTA to values (milter-spec 1.3, 5, 7.1, 7.4)."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.vectors import MALFORMED, VECTORS
from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.commands import (
    MAX_ARGUMENTS,
    PARSERS,
    Abort,
    BodyChunk,
    ConnectInfo,
    Data,
    EndOfHeaders,
    EndOfMessage,
    Event,
    HeaderField,
    Helo,
    MailFrom,
    Negotiated,
    Quit,
    QuitNewConnection,
    RcptTo,
    UnknownCommand,
    parse_command,
)

V6 = "2607:f8b0:4864:20::748"
PARSED: dict[str, Event] = {
    "V01": Negotiated(6, 0x1FF, 0x1FFFFF),
    "V02": Negotiated(2, 0x3F, 0x7F),
    "V03": Negotiated(6, 0x1FF, 0x101FFFFF),
    "V08": ConnectInfo(b"[172.17.0.1]", "4", 49974, b"172.17.0.1", ip_address("172.17.0.1")),
    "V09": ConnectInfo(b"[127.0.0.1]", "4", 59014, b"127.0.0.1", ip_address("127.0.0.1")),
    "V10": ConnectInfo(f"[{V6}]".encode(), "6", 41750, V6.encode(), ip_address(V6)),
    "V11": ConnectInfo(b"mail.example", "6", 25, b"IPv6:2001:db8::1", ip_address("2001:db8::1")),
    "V12": ConnectInfo(b"h", "L", 0, b"/run/mysock", None),
    "V13": ConnectInfo(b"localhost", "U", 0, b"", None),
    "V14": ConnectInfo(b"unknown", "4", 1025, b"unknown", None),
    "V15": Helo(b"client.test.invalid"),
    "V16": MailFrom(b"<a@src.test.invalid>", (b"SIZE=1000", b"BODY=8BITMIME")),
    "V17": MailFrom(b"<>", ()),
    "V18": MailFrom(b"<g@g3rt.nl>", (b"FOO=BAR", b"SIZE=1234")),
    "V19": MailFrom(b"<a@b>", (b"ENVID=x=y+3D", b"SMTPUTF8")),
    "V20": RcptTo(b"<b@dst.test.invalid>", (b"NOTIFY=NEVER",)),
    "V21": RcptTo(b"b@dst.test.invalid", ()),
    "V22": Data(),
    "V23": HeaderField(b"From", b"Display Name <user@example.com>"),
    "V24": HeaderField(b"X-Empty", b""),
    "V25": HeaderField(b"X-Fold", b"line one\n  line two\n\tline three"),
    "V26": HeaderField(b"Subject", b" two spaces"),
    "V27": HeaderField(b"X-8bit", b"caf\xc3\xa9 \xff"),
    "V28": EndOfHeaders(),
    "V29": BodyChunk(b"body line 1\r\nbody line 2\r\n"),
    "V31": BodyChunk(b"\x00\xff\r"),
    "V32": EndOfMessage(),
    "V33": EndOfMessage(),  # the session makes two events of it
    "V34": Abort(),
    "V35": Quit(),
    "V36": QuitNewConnection(),
    "V37": UnknownCommand(b"FOO bar baz"),
    "V38": MailFrom(b"", ()),
}


def parse(frame: bytes) -> Event:
    """The event of a whole frame."""
    return parse_command(frame[4], frame[5:])


class CommandTests(SynchronousTestCase):
    """What L{parse_command} promises of legal payloads."""

    def test_vectors(self) -> None:
        """V01 to V38: each frame has exactly this meaning."""
        for name, event in PARSED.items():
            parsed = parse(VECTORS[name])
            self.assertEqual((name, type(parsed), parsed), (name, type(event), event))

    def test_letters(self) -> None:
        """Each event knows the letter of its command."""
        for name, event in PARSED.items():
            self.assertEqual((name, event.letter), (name, VECTORS[name][4]))

    def test_address_text_that_is_none(self) -> None:
        """Row 25, V14: text that is no address is kept, and ip is None."""
        for address in (b"unknown", b"", b"999.1.1.1", b"x" * 300, b"127.1", b"\xff"):
            event = parse_command(ord("C"), b"h\0" + b"4\0\x19" + address + b"\0")
            self.assertEqual(event, ConnectInfo(b"h", "4", 25, address, None))

    def test_spellings_of_ipv6(self) -> None:
        """Section 5: prefix in any case, brackets and scope ids are understood; nothing is mapped."""
        for address, text in (
            (b"ipv6:2001:db8::1", "2001:db8::1"),
            (b"IPv6:[::]", "::"),
            (b"[2001:db8::1]", "2001:db8::1"),
            (b"fe80::1%eth0", "fe80::1%eth0"),
            (b"::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ):
            event = parse_command(ord("C"), b"h\x006\0\x19" + address + b"\0")
            self.assertEqual(getattr(event, "ip", None), ip_address(text))

    def test_trailing_octets_of_connect(self) -> None:
        """Section 5: what follows the address, or family U, is ignored."""
        self.assertEqual(parse_command(ord("C"), b"h\0Uxyz"), ConnectInfo(b"h", "U", 0, b"", None))
        event = parse_command(ord("C"), b"h\x004\0\x19192.0.2.1\0more")
        self.assertEqual(event, ConnectInfo(b"h", "4", 25, b"192.0.2.1", ip_address("192.0.2.1")))

    def test_payload_where_none_belongs(self) -> None:
        """X25, row 50: T, N, A, Q and K ignore a payload."""
        self.assertEqual(parse(MALFORMED["X25"]), Data())
        for code in b"TNAQK":
            self.assertEqual(parse_command(code, b"junk"), parse_command(code, b""))

    def test_unknown_line_without_nul(self) -> None:
        """X26, row 51: any octets are accepted, up to a NUL."""
        self.assertEqual(parse(MALFORMED["X26"]), UnknownCommand(b"x"))
        line = b"\x1b[2J" * 15_000
        self.assertEqual(parse_command(ord("U"), line + b"\0"), UnknownCommand(line))

    def test_strange_field_names(self) -> None:
        """Row 38: any octets but NUL are a name here; nobody writes them back unvalidated."""
        for name in (b"a:b", b"a\r\nb", b"\x01", b"\xff", b"n" * 60_000):
            self.assertEqual(parse_command(ord("L"), name + b"\0v\0"), HeaderField(name, b"v"))

    def test_optneg_longer_than_needed(self) -> None:
        """Row 21: what follows the three words is ignored."""
        self.assertEqual(parse_command(ord("O"), VECTORS["V01"][5:] + b"junk"), Negotiated(6, 0x1FF, 0x1FFFFF))

    def test_most_arguments(self) -> None:
        """Row 31: a hundred ESMTP arguments are allowed."""
        payload = b"<a@b>\0" + b"x\0" * MAX_ARGUMENTS
        self.assertEqual(parse_command(ord("M"), payload), MailFrom(b"<a@b>", (b"x",) * 100))

    def test_octets_survive(self) -> None:
        """Row 49 and 1.1: what is not UTF-8 comes out as it went in."""
        octets = bytes(range(1, 256))
        self.assertEqual(parse_command(ord("H"), octets + b"\0"), Helo(octets))
        self.assertEqual(parse_command(ord("R"), octets + b"\0" + octets + b"\0"), RcptTo(octets, (octets,)))


class MalformedCommandTests(SynchronousTestCase):
    """What L{parse_command} refuses."""

    def refuse(self, letter: bytes, *payloads: bytes) -> None:
        """Each payload of this command is a violation."""
        for payload in payloads:
            self.assertRaises(ProtocolViolation, parse_command, ord(letter), payload)

    def test_malformed_vectors(self) -> None:
        """X6 and X9 to X20: each is a violation that names the command."""
        for number in (6, *range(9, 21)):
            violation = self.assertRaises(ProtocolViolation, parse, MALFORMED[f"X{number}"])
            self.assertRegex(violation.reason, "^(OPTNEG|CONNECT|HELO|MAIL|RCPT|HEADER) ")

    def test_optneg(self) -> None:
        """Row 16: fewer than 12 octets."""
        self.refuse(b"O", *(b"\0" * size for size in range(12)))

    def test_connect(self) -> None:
        """Rows 23 and 24: no NUL, family, port or final NUL; an unknown family."""
        self.refuse(
            b"C", b"", b"h", b"h\0", b"h\x004", b"h\x004\0", b"h\x004\0\x19", b"h\x004\0\x191", b"h\x009\0\x191\0"
        )

    def test_empty_payload(self) -> None:
        """Row 28, X14, X16: H, M, R and L need one."""
        for letter in (b"H", b"M", b"R", b"L"):
            self.refuse(letter, b"")

    def test_missing_final_nul(self) -> None:
        """Row 30, X15, X17."""
        self.refuse(b"H", b"x", b"x\0y", b"x\0y\0")
        self.refuse(b"M", b"<a@b>", b"<a@b>\0SIZE=1")
        self.refuse(b"R", b"<a@b>")

    def test_empty_sender_is_legal(self) -> None:
        """Row 29, V38: one NUL is the null reverse-path."""
        self.assertEqual(parse_command(ord("M"), b"\0"), MailFrom(b"", ()))

    def test_too_many_arguments(self) -> None:
        """Row 31: 30,000 one-octet arguments are refused without making them."""
        self.refuse(b"M", b"<a@b>\0" + b"x\0" * 101, b"<a@b>\0" + b"x\0" * 30_000)

    def test_header_shapes(self) -> None:
        """Row 37, X18 to X20: one string, three strings, no NUL, no name."""
        self.refuse(b"L", b"Name\0", b"Name\0value", b"a\0b\0c\0", b"\0v\0", b"Name")

    def test_unknown_letters(self) -> None:
        """X24, rows 52 and 53: letters that are no command, replies among them."""
        for letter in (b"Z", b"\0", b"\xff", b"c", b"y", b"D"):
            self.refuse(letter, b"", b"x\0")

    @given(st.sampled_from(sorted(PARSERS)), st.binary(max_size=60))
    def test_garbage(self, letter: int, payload: bytes) -> None:
        """Any payload is an event of that letter or a violation, nothing else."""
        try:
            event = parse_command(letter, payload)
        except ProtocolViolation as violation:
            self.assertLessEqual(len(violation.offending), 64)
        else:
            self.assertEqual(event.letter, letter)
