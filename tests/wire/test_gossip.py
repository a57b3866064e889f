"""The lines of GOSSiP (gossip spec 1.1, 1.2, cases 9, 13 and 14)."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import LocalProtocolError, ProtocolViolation
from twistedmilter.model.reputation import Identity, Opinion, Vote
from twistedmilter.wire.gossip import (
    ACKNOWLEDGEMENT,
    Acknowledgement,
    Feedback,
    Query,
    Reply,
    ReplyDecoder,
    Request,
    RequestDecoder,
    Reset,
    Unreadable,
    encode_answer,
    encode_error,
    encode_feedback,
    encode_query,
    parse_request,
)
from twistedmilter.wire.gossip_lines import MAX_LINE, LineDecoder
from twistedmilter.wire.umis import LENGTH, classic_umis, umis_of

EXAMPLE = Identity("example.com", "SPF")
OPINIONS = {
    "example.org:SPF": Opinion(0.0, 0.0),
    "example.com:SPF": Opinion(76.159416, 26.4),
    "ded304.com:SPF": Opinion(-76.159416, 49.9),
}

names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?", fullmatch=True)
umises = st.from_regex(r"[A-Za-z0-9.$]{1,22}", fullmatch=True)
qualifiers = st.sampled_from(["SPF", "GUESS", "HELO", "DKIM", "neutral", "softfail", "none", "192.0.2.1"])
queries = st.builds(Query, st.builds(Identity, names, qualifiers), st.integers(0, 2), umises)
feedbacks = st.builds(Feedback, umises, st.sampled_from([Vote.HAM, Vote.SPAM]))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def requests(*pieces: bytes) -> list[Request]:
    """All requests of a stream that came in these pieces."""
    decoder, found = RequestDecoder(), []
    for piece in pieces:
        decoder.receive_data(piece)
        while (request := decoder.next_request()) is not None:
            found.append(request)
    return found


def replies(*pieces: bytes) -> list[Reply | Acknowledgement]:
    """All answers of a stream that came in these pieces."""
    decoder, found = ReplyDecoder(), []
    for piece in pieces:
        decoder.receive_data(piece)
        while (reply := decoder.next_reply()) is not None:
            found.append(reply)
    return found


def answered(*pieces: bytes) -> bytes:
    """What a node with L{OPINIONS} that lets anybody do anything would write."""
    out = b""
    for request in requests(*pieces):
        if isinstance(request, Query):
            opinion = OPINIONS[str(request.identity)]
            out += encode_answer(request.umis, opinion, is_bad=opinion.reputation < -50)
        elif isinstance(request, Unreadable):
            out += encode_error(request.umis)
        else:
            out += ACKNOWLEDGEMENT
    return out


class TranscriptTests(SynchronousTestCase):
    """What was captured from the reference, octet by octet (1.2)."""

    TRANSCRIPTS: tuple[tuple[tuple[bytes, ...], bytes], ...] = (
        ((b"Q:example.org:SPF:1:umisAAAA\n\n",), b"PREPEND X-GOSSiP: umisAAAA,0,0\n\n"),
        ((b"F:umisAAAA:0\n\n",), b"\n\n"),
        ((b"F:umisAAAB:1\n\n",), b"\n\n"),
        ((b"F:nosuch:1\n\n",), b"\n\n"),
        ((b"R:example.org:SPF\n\n",), b"\n\n"),
        ((b"Q:exam", b"ple.com:SPF:1:u6\n\n"), b"PREPEND X-GOSSiP: u6,76,26\n\n"),
        (
            (b"Q:example.com:SPF:1:u7\nQ:ded304.com:SPF:1:u8\n\n",),
            b"PREPEND X-GOSSiP: u7,76,26\n\nREJECT X-GOSSiP: u8,-76,49\n\n",
        ),
        ((b"Q:example.com:SPF:1:u10\r\n\r\n",), b"PREPEND X-GOSSiP: u10,76,26\n\n"),
        ((b"Q:example.com:SPF:x:u9\n\n",), b"ERROR X-GOSSiP: u9,0,0\n\n"),
        ((b"Q:example.com:SPF\n\n",), b"ERROR X-GOSSiP: REQUEST_ERROR,0,0\n\n"),
        ((b"Z:foo\n\n",), b"ERROR X-GOSSiP: REQUEST_ERROR,0,0\n\n"),  # the reference left its client waiting
    )

    def test_server(self) -> None:
        """What is read, and what is written to it."""
        for pieces, expected in self.TRANSCRIPTS:
            with self.subTest(pieces):
                self.assertEqual(answered(*pieces), expected)

    def test_peer_leg(self) -> None:
        """A node asks its peer with one hop less, and reads two integers from what comes."""
        self.assertEqual(encode_query(Query(Identity("ded304.com", "SPF"), 0, "v3")), b"Q:ded304.com:SPF:0:v3\n\n")
        self.assertEqual(replies(b"REJECT X-GOSSiP: v3,-76,49\n\n"), [Reply("REJECT", "v3", -76, 49)])

    def test_values_are_cut_off(self) -> None:
        """-50.714 is shown as -50, and is refused all the same (case 18)."""
        self.assertEqual(encode_answer("v6", Opinion(-50.714, 29.38), is_bad=True), b"REJECT X-GOSSiP: v6,-50,29\n\n")


class RequestTests(SynchronousTestCase):
    """What a server reads."""

    def test_identities_have_one_spelling(self) -> None:
        """Case and a last dot do not make another sender; C{PASS} is C{SPF}."""
        for line in (b"Q:Example.COM.:spf:1:u", b"Q:example.com:PASS:1:u", b"Q:example.com:SPF:1:u:and:more"):
            self.assertEqual(parse_request(line), Query(EXAMPLE, 1, "u"))
        self.assertEqual(parse_request(b"R:Example.com:Neutral"), Reset(Identity("example.com", "neutral")))

    def test_verdicts(self) -> None:
        """Two words and two numbers; the arithmetic of other numbers is not done (1.1)."""
        for word, vote in ((b"0", Vote.HAM), (b"No", Vote.HAM), (b"1", Vote.SPAM), (b"Yes", Vote.SPAM)):
            self.assertEqual(parse_request(b"F:u:" + word), Feedback("u", vote))
        for word in (b"2", b"-1", b"yes", b"", b"01", b"0.5"):
            self.assertEqual(parse_request(b"F:u:" + word), Unreadable("u"))

    def test_hops_are_few(self) -> None:
        """More than two are two; what is no number is an error (case 11)."""
        self.assertEqual(parse_request(b"Q:example.com:SPF:999999999:u"), Query(EXAMPLE, 2, "u"))
        for ttl in (b"-1", b"", b"1.5", b"9999999999", b"0x1", b"+1"):
            self.assertEqual(parse_request(b"Q:example.com:SPF:" + ttl + b":u"), Unreadable("u"))

    def test_hostile_lines(self) -> None:
        """Nothing but an error; the UMIS is echoed only if it could be one (cases 13 and 14)."""
        for line in (
            b"Q:exam ple.com:SPF:1:u", b"Q:example.com:SPF\0:1:u", b"Q:\xff\xfe:SPF:1:u", b"Q::SPF:1:u",
            b"Q:.:SPF:1:u", b"Q:" + b"a" * 300 + b":SPF:1:u", b"Q:example.com:" + b"q" * 65 + b":1:u",
            b"Q:example.com:a,b:1:u", b"Q:ex\rX-Evil.com:SPF:1:u",
        ):  # fmt: skip
            with self.subTest(line):
                self.assertEqual(parse_request(line), Unreadable("u"))
        for line in (
            b"Q:example.com:SPF:1:u,1,1", b"Q:example.com:SPF:1:\r\nX-Evil", b"Q:example.com:SPF:1:", b"F:a b:1",
            b":" * 900, b"F::1", b"F:u", b"R:example.com", b"R::SPF", b"R:.:SPF", b"q",
            b"Q:example.com:SPF:1:" + b"u" * 129, b"F:" + b"u" * 129 + b":1", b"\0", b"GET / HTTP/1.0",
        ):  # fmt: skip
            with self.subTest(line):
                self.assertEqual(parse_request(line), Unreadable())

    def test_an_ipv6_address_is_no_name(self) -> None:
        """Its colons are those of the protocol, so that its fields are not those that were meant."""
        self.assertEqual(parse_request(b"Q:2001:db8::1:SPF:1:u"), Unreadable("1"))

    def test_the_longest_line(self) -> None:
        """One octet more ends the connection, as soon as it is there; what came before it was read."""
        line = b"Z" * MAX_LINE
        self.assertEqual(requests(line + b"\n"), [Unreadable()])
        for piece in (line + b"Z", line + b"Z\n"):
            decoder = RequestDecoder()
            decoder.receive_data(b"F:u:1\n" + piece)
            self.assertEqual(decoder.next_request(), Feedback("u", Vote.SPAM))
            for _ in range(2):
                with self.assertRaises(ProtocolViolation):
                    decoder.next_request()

    @given(st.lists(queries | feedbacks, max_size=8), st.lists(st.integers(0, 2_000), max_size=12))
    def test_chunking_is_invisible(self, sent: list[Query | Feedback], places: list[int]) -> None:
        """What is written is read, however it was cut."""
        stream = b"".join(encode_query(each) if isinstance(each, Query) else encode_feedback(each) for each in sent)
        self.assertEqual(requests(*cut(stream, places)), sent)

    @given(st.lists(st.binary(max_size=2_000), max_size=4))
    @example([b"Q:" + b":" * 1_100])
    def test_garbage(self, pieces: list[bytes]) -> None:
        """It is a request, an error or a violation, and what is echoed is one word."""
        try:
            found = requests(*pieces)
        except ProtocolViolation:
            return
        for each in found:
            if isinstance(each, Unreadable | Query | Feedback):
                self.assertRegex(each.umis, r"^[A-Za-z0-9._$+/=@-]{1,128}$")

    @given(st.from_regex(rb"[QFRZ](:[a-zA-Z0-9.$,\x00 \xff-]{0,6}){0,6}", fullmatch=True))
    def test_nearly_right(self, line: bytes) -> None:
        """Each line gives one request."""
        self.assertEqual(len(requests(line + b"\n\n")), 1)


class ReplyTests(SynchronousTestCase):
    """What a client reads."""

    def test_answers_in_order(self) -> None:
        """Those with words, and those without."""
        stream = b"PREPEND X-GOSSiP: u7,76,26\n\n\n\n\n\nERROR X-GOSSiP: u,0,0\r\n\r\n"
        expected = [Reply("PREPEND", "u7", 76, 26), Acknowledgement(), Acknowledgement(), Reply("ERROR", "u", 0, 0)]
        self.assertEqual(replies(stream), expected)
        self.assertEqual(replies(*(stream[place : place + 1] for place in range(len(stream)))), expected)

    def test_liars(self) -> None:
        """Other numbers than integers are no answer; large ones are for others to judge (case 9)."""
        self.assertEqual(replies(b"REJECT X-GOSSiP: u,99999,1000000000\n\n"), [Reply("REJECT", "u", 99_999, 10**9)])
        for words in (
            b"PREPEND X-GOSSiP: u,nan,1", b"PREPEND X-GOSSiP: u,1e308,1", b"PREPEND X-GOSSiP: u,1.5,1",
            b"PREPEND X-GOSSiP: u,--1,1", b"PREPEND X-GOSSiP: u,1", b"PREPEND X-GOSSiP: u,1,1,1", b"PREPEND u,1,1",
            b"ACCEPT X-GOSSiP: u,1,1", b"PREPEND X-GOSSiP: a b,1,1", b"PREPEND X-GOSSiP: u," + b"9" * 19 + b",1",
            b"\xff", b"Z" * (MAX_LINE + 1),
        ):  # fmt: skip
            with self.subTest(words), self.assertRaises(ProtocolViolation):
                replies(words + b"\n\n")

    @given(st.lists(st.none() | st.tuples(umises, st.integers(-100, 100), st.integers(0, 100)), max_size=8), st.data())
    def test_chunking_is_invisible(self, sent: list[tuple[str, int, int] | None], data: st.DataObject) -> None:
        """What a server writes is read, however it was cut."""
        stream = b"".join(
            ACKNOWLEDGEMENT if each is None else encode_answer(each[0], Opinion(*each[1:]), is_bad=False)
            for each in sent
        )
        expected = [Acknowledgement() if each is None else Reply("PREPEND", *each) for each in sent]
        places = data.draw(st.lists(st.integers(0, 2_000), max_size=12))
        self.assertEqual(replies(*cut(stream, places)), expected)

    @given(st.lists(st.binary(max_size=2_000), max_size=4))
    def test_garbage(self, pieces: list[bytes]) -> None:
        """It is an answer or a violation."""
        try:
            replies(*pieces)
        except ProtocolViolation:
            return


class EncodingTests(SynchronousTestCase):
    """What a client may not write."""

    def test_fields_that_would_not_be_read(self) -> None:
        """A colon, a line end, a vote that has no word: our own fault (case 14)."""
        for query in (
            Query(Identity("2001:db8::1", "SPF"), 1, "u"),
            Query(Identity("example.com", "SPF"), 1, "u\nF:v:1"),
            Query(Identity("exämple.com", "SPF"), 1, "u"),
            Query(Identity("example.com", "SPF"), -1, "u"),
        ):
            with self.assertRaises(LocalProtocolError):
                encode_query(query)
        with self.assertRaises(LocalProtocolError):
            encode_feedback(Feedback("u", Vote.NONE))


class LineTests(SynchronousTestCase):
    """The lines themselves."""

    def test_memory_is_bounded(self) -> None:
        """A line without end is refused before it fills anything."""
        decoder = LineDecoder()
        decoder.receive_data(b"a" * (MAX_LINE + 1))
        with self.assertRaises(ProtocolViolation):
            decoder.next_line()

    def test_what_is_around_a_line_is_no_part_of_it(self) -> None:
        """Blanks and a CR."""
        decoder = LineDecoder()
        decoder.receive_data(b"  a b \t\r\n\r\n")
        self.assertEqual([decoder.next_line(), decoder.next_line(), decoder.next_line()], [b"a b", b"", None])


class UmisTests(SynchronousTestCase):
    """The names of questions."""

    def test_vectors(self) -> None:
        """Those of the reference (1.3)."""
        for identity, nonce, expected in (
            ("example.comSPF", "1", "hYFCubydN$h65iP35P9kcQ"),
            ("example.comSPF", "1170000000.25", "079zZGI4wr8SviqtSSrSxg"),
            ("aol.comneutral", "42", "GuPJEw1quUAhzcqizKXdkA"),
            ("ded304.comSPF", "x", "VvoFFulIhBSSD.9MYByfwQ"),
            ("a", "24", "pDx$PZ0PSnGEUGM.N2W2fA"),
        ):
            self.assertEqual(classic_umis(identity, nonce), expected)

    @given(st.binary(min_size=16, max_size=16))
    def test_of_random_octets(self, octets: bytes) -> None:
        """As long as the reference's, in the same letters: it can be sent."""
        umis = umis_of(octets)
        self.assertEqual(len(umis), LENGTH)
        self.assertEqual(requests(encode_query(Query(EXAMPLE, 1, umis))), [Query(EXAMPLE, 1, umis)])
