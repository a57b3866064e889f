"""Octets to frames, however they were cut (milter-spec 1.1, 1.2, 7.3, 7.4 and rows 3 to 11)."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.vectors import MALFORMED, VECTORS
from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.frames import MAX_FRAME, FrameDecoder, encode_frame

FRAMES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=8)


def decode(pieces: list[bytes]) -> list[tuple[int, bytes]]:
    """All frames of a stream that came in these pieces."""
    decoder = FrameDecoder()
    frames = []
    for piece in pieces:
        decoder.receive_data(piece)
        while (frame := decoder.next_frame()) is not None:
            frames.append(frame)
    return frames


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, cut at the places that are inside it."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


class FrameDecoderTests(SynchronousTestCase):
    """What L{FrameDecoder} promises of legal streams."""

    @given(FRAMES, st.lists(st.integers(0, 3000), max_size=12))
    def test_chunking_is_invisible(self, frames: list[tuple[int, bytes]], places: list[int]) -> None:
        """Row 11: any cut of the stream gives the frames that were encoded."""
        stream = b"".join(encode_frame(letter, payload) for letter, payload in frames)
        self.assertEqual(decode(cut(stream, places)), frames)

    def test_three_frames_of_one_read(self) -> None:
        """S1: one read may hold several frames."""
        frames = decode([VECTORS["V01"] + VECTORS["V04"] + VECTORS["V08"]])
        self.assertEqual([chr(letter) for letter, _payload in frames], ["O", "D", "C"])

    def test_split_length_word(self) -> None:
        """S2: the length word may come in two reads."""
        self.assertEqual(decode([b"\0\0\0", b"\x01N"]), [(ord("N"), b"")])

    def test_split_before_payload(self) -> None:
        """S3: the payload may come after the command byte."""
        pieces = [VECTORS["V15"][:5], VECTORS["V15"][5:]]
        self.assertEqual(decode(pieces), [(ord("H"), b"client.test.invalid\0")])

    def test_octet_by_octet(self) -> None:
        """S4: one octet at a time."""
        self.assertEqual(decode([b"\0", b"\0", b"\0", b"\x01", b"T"]), [(ord("T"), b"")])

    def test_glued_frames(self) -> None:
        """S7: a body chunk and the end of message in one read."""
        frames = decode([VECTORS["V29"] + VECTORS["V32"]])
        self.assertEqual(frames, [(ord("B"), b"body line 1\r\nbody line 2\r\n"), (ord("E"), b"")])

    def test_largest_frame(self) -> None:
        """V30, row 6: a length word of 65,536 is accepted, and our encoder writes it so."""
        frame = encode_frame(ord("B"), b"x" * 65_535)
        self.assertEqual(sha256(frame).hexdigest()[:16], "7587cc70d9fcca80")
        self.assertEqual(decode([frame[:40_000], frame[40_000:]]), [(ord("B"), b"x" * 65_535)])

    def test_pending_counts_the_started_frame_only(self) -> None:
        """S6, row 10: the face can time a frame from its first octet."""
        decoder = FrameDecoder()
        seen = []
        for piece in (b"", b"\0\0", b"\0\x02", b"H", b"x", b"\0"):
            decoder.receive_data(piece)
            seen.append(decoder.pending)
        decoder.next_frame()
        self.assertEqual((seen, decoder.pending), ([0, 2, 4, 5, 0, 0], 1))

    def test_buffered_counts_everything(self) -> None:
        """What was received and not taken is counted, whole frames too."""
        decoder = FrameDecoder()
        decoder.receive_data(VECTORS["V32"])
        decoder.receive_data(VECTORS["V32"][:3])
        before = decoder.buffered
        decoder.next_frame()
        self.assertEqual((before, decoder.buffered), (8, 3))

    def test_dribbled_frame_takes_linear_time(self) -> None:
        """Row 11: nothing is scanned or copied again for each octet of a frame."""
        decoder = FrameDecoder()
        decoder.receive_data(encode_frame(ord("B"), b"x" * 65_535)[:-1])
        tail = decoder._tail
        decoder.next_frame()
        decoder.next_frame()
        self.assertIs(decoder._tail, tail)
        self.assertEqual((decoder._buffer, len(tail)), (b"", 65_539))

    def test_stopped_decoder_holds_nothing(self) -> None:
        """Row 55: after a stop everything is dropped silently."""
        decoder = FrameDecoder()
        decoder.receive_data(VECTORS["V32"])
        decoder.stop()
        decoder.receive_data(VECTORS["V32"])
        self.assertEqual((decoder.next_frame(), decoder.buffered), (None, 0))


class BadFrameTests(SynchronousTestCase):
    """What L{FrameDecoder} says of streams that are not the milter protocol."""

    def violation(self, data: bytes, limit: int = MAX_FRAME) -> ProtocolViolation:
        """The violation that the data is."""
        decoder = FrameDecoder(limit)
        decoder.receive_data(data)
        violation: ProtocolViolation = self.assertRaises(ProtocolViolation, decoder.next_frame)
        return violation

    def test_lengths_outside_the_limit(self) -> None:
        """X1, X2, X3, rows 3 to 5: refused from the length word alone."""
        for words in (MALFORMED["X1"], MALFORMED["X2"], MALFORMED["X3"], b"\x7f\xff\xff\xff", b"\x80\0\0\0"):
            self.assertIn("allowed 1..65536", self.violation(words).reason)

    def test_other_protocols_are_named(self) -> None:
        """X4, X5, rows 7 to 9: the reason names what the stream looks like."""
        for data, name in (
            (MALFORMED["X4"], "HTTP"),
            (b"POST /", "HTTP"),
            (b"EHLO x\r\n", "SMTP"),
            (b"help", "SMTP"),
            (MALFORMED["X5"], "TLS"),
            (b"\x16\x03\x03\x00", "TLS"),
            (b"PROXY TCP4", "PROXY protocol version 1"),
            (b"\r\n\r\n\x00\r\nQUIT\n", "PROXY protocol version 2"),
        ):
            self.assertIn(f"not a milter client (looks like {name})", self.violation(data).reason)

    def test_offending_octets_are_few(self) -> None:
        """Section 8: a log line gets at most 64 octets of the data."""
        self.assertEqual(self.violation(b"GET " + b"x" * 500).offending, b"GET " + b"x" * 60)

    def test_violation_lasts_and_drops_what_is_held(self) -> None:
        """Section 8: after a violation nothing is parsed or kept any more."""
        decoder = FrameDecoder()
        decoder.receive_data(MALFORMED["X1"] + b"x" * 100)
        self.assertRaises(ProtocolViolation, decoder.next_frame)
        decoder.receive_data(VECTORS["V32"])
        self.assertEqual(decoder.buffered, 0)
        self.assertRaises(ProtocolViolation, decoder.next_frame)

    def test_frames_before_the_bad_one_are_given(self) -> None:
        """A violation comes at its place in the stream."""
        decoder = FrameDecoder()
        decoder.receive_data(VECTORS["V32"] + MALFORMED["X2"])
        self.assertEqual(decoder.next_frame(), (ord("E"), b""))
        self.assertRaises(ProtocolViolation, decoder.next_frame)

    def test_whole_frames_outside_the_limit(self) -> None:
        """Rows 3 and 5: a frame that came whole is refused like one that did not."""
        for data in (encode_frame(ord("B"), b"x" * 65_536), b"\0\0\0\0" + VECTORS["V32"]):
            self.assertIn("allowed 1..65536", self.violation(data).reason)

    def test_limit_is_an_argument(self) -> None:
        """A larger limit lets larger frames pass."""
        self.assertIn("allowed 1..10", self.violation(b"\0\0\0\x0bB", limit=10).reason)

    @given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
    def test_garbage_gives_frames_or_a_violation(self, data: bytes, places: list[int]) -> None:
        """Nothing else escapes, and what is held is never more than what came."""
        decoder = FrameDecoder()
        try:
            for piece in cut(data, places):
                decoder.receive_data(piece)
                while decoder.next_frame() is not None:
                    self.assertLessEqual(decoder.buffered, len(data))
        except ProtocolViolation:
            self.assertEqual(decoder.buffered, 0)
