"""The MTA's side of a connection (milter-spec 7.1, 7.2 and rows 65 to 78)."""

from __future__ import annotations

from struct import pack

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.milter_sessions import FRAMES, letters_of
from tests.wire.test_replies import CHANGES
from tests.wire.vectors import VECTORS
from twistedmilter.errors import LocalProtocolError, ProtocolViolation
from twistedmilter.model.modification import AddHeader, ChangeHeader, ReplaceBody
from twistedmilter.wire import reply_account
from twistedmilter.wire.flags import Action, MacroStage, ProtocolFlag
from twistedmilter.wire.frames import encode_frame
from twistedmilter.wire.milter_client import MilterClient
from twistedmilter.wire.parsed_replies import ParsedReply

ALL = int(Action(0x1FF))


def agreement(version: int = 6, actions: int = ALL, protocol: int = 0, lists: bytes = b"") -> bytes:
    """The filter's OPTNEG frame."""
    return encode_frame(ord("O"), pack(">III", version, actions, protocol) + lists)


def read_all(client: MilterClient, data: bytes = b"") -> list[ParsedReply]:
    """All replies that are there."""
    client.receive_data(data)
    replies = []
    while (reply := client.next_reply()) is not None:
        replies.append(reply)
    return replies


def agreed(protocol: int = 0, *, actions: int = ALL, strict: bool = True) -> MilterClient:
    """A client after negotiation."""
    client = MilterClient(strict=strict)
    client.negotiate()
    read_all(client, agreement(actions=actions, protocol=protocol))
    return client


def at_end(protocol: int = 0, *, actions: int = ALL, strict: bool = True) -> MilterClient:
    """A client that awaits the answer to END-OF-MESSAGE."""
    client = agreed(protocol, actions=actions, strict=strict)
    client.end_of_message()
    return client


class CommandTests(SynchronousTestCase):
    """What the client sends."""

    def test_vectors(self) -> None:
        """V01 to V38: each method gives exactly this frame."""
        client = agreed()
        for name, octets in {
            "V01": MilterClient().negotiate(),
            "V02": MilterClient(2, 0x3F, 0x7F).negotiate(),
            "V05": client.macros(ord("H"), {}),
            "V06": client.macros(ord("E"), {"i": "4jYfKy4zBGzL8Qj"}),
            "V07": client.macros(ord("M"), {"i": "", "auth_type": ""}),
            "V09": client.connect("[127.0.0.1]", "4", 59014, "127.0.0.1"),
            "V11": client.connect("mail.example", "6", 25, "IPv6:2001:db8::1"),
            "V12": client.connect("h", "L", 0, "/run/mysock"),
            "V13": client.connect("localhost"),
            "V15": client.helo("client.test.invalid"),
            "V16": client.mail("<a@src.test.invalid>", ["SIZE=1000", "BODY=8BITMIME"]),
            "V20": client.rcpt("<b@dst.test.invalid>", ["NOTIFY=NEVER"]),
            "V22": client.data(),
            "V24": client.header("X-Empty", ""),
            "V25": client.header("X-Fold", "line one\n  line two\n\tline three"),
            "V26": client.header("Subject", "  two spaces"),
            "V27": client.header("X-8bit", b"caf\xc3\xa9 \xff"),
            "V28": client.end_of_headers(),
            "V29": client.body(b"body line 1\r\nbody line 2\r\n"),
            "V32": client.end_of_message(),
            "V33": client.end_of_message(b"tail\r\n"),
            "V34": client.abort(),
            "V35": client.quit(),
            "V36": client.quit_nc(),
            "V37": client.unknown("FOO bar baz"),
            "V38": client.mail(""),
        }.items():
            self.assertEqual((name, octets), (name, VECTORS[name]))

    def test_large_body(self) -> None:
        """V30, 4.4: a body is split at 65,535 octets; an empty one is no frame."""
        client = agreed()
        octets = client.body(b"x" * 65_536)
        self.assertEqual((octets[:5], octets[-6:], client.replies_owed), (b"\0\1\0\0B", b"\0\0\0\2Bx", 2))
        self.assertEqual(client.body(b""), b"")

    def test_steps_that_the_filter_switched_off(self) -> None:
        """2.2: they are not sent, and nothing is owed; their macros go all the same."""
        client = agreed(int(ProtocolFlag.NOCONNECT | ProtocolFlag.NOBODY | ProtocolFlag.NODATA))
        sent = client.connect("h") + client.body(b"x") + client.data() + client.macros(ord("C"), {"j": "mx"})
        self.assertEqual((letters_of(sent), client.replies_owed), ("D", 0))

    def test_leading_space(self) -> None:
        """4.1: with HDR_LEADSPC the blank after the colon goes along."""
        client = agreed(int(ProtocolFlag.HDR_LEADSPC))
        self.assertEqual(client.header("Subject", " x"), encode_frame(ord("L"), b"Subject\0 x\0"))

    def test_old_versions(self) -> None:
        """1.5: no UNKNOWN before version 3, no DATA before version 4."""
        sent = {}
        for version in (2, 3, 4):
            client = MilterClient(version)
            client.negotiate()
            read_all(client, agreement(version))
            sent[version] = letters_of(client.unknown("x") + client.data())
        self.assertEqual(sent, {2: "", 3: "U", 4: "UT"})

    def test_macro_lists(self) -> None:
        """2.6, V41: of a list that the filter gave only its names are sent; other stages are as they were."""
        client = MilterClient()
        client.negotiate()
        read_all(client, VECTORS["V41"])
        self.assertEqual(client.agreement and client.agreement.macros[MacroStage.CONNECT], ("j", "my"))
        frame = client.macros(ord("C"), {"j": "mx", "{my}": "1", "v": "x"})
        self.assertEqual(frame, encode_frame(ord("D"), b"Cj\0mx\0{my}\x001\0"))
        self.assertIn(
            b"{x}", client.macros(ord("M"), {"x": "1", "{x}x": ""}) + client.macros(ord("R"), {"{x}": ""}) + b"{x}"
        )

    def test_before_negotiation(self) -> None:
        """Commands come after negotiation: our own error."""
        self.assertRaises(LocalProtocolError, MilterClient().helo, "x")

    def test_nul_in_a_string(self) -> None:
        """1.1: a NUL cannot be inside a string."""
        self.assertRaises(ValueError, agreed().helo, "a\0b")

    def test_skip(self) -> None:
        """3.7: after SKIP no more body is sent for this message."""
        client = agreed(int(ProtocolFlag.SKIP))
        client.body(b"one")
        read_all(client, VECTORS["V49"])
        skipped = client.body(b"two")
        client.mail("<>")
        self.assertEqual((skipped, letters_of(client.body(b"three"))), (b"", "B"))


class NegotiationTests(SynchronousTestCase):
    """The filter's answer to the offer."""

    def answer(self, data: bytes, *, strict: bool = True) -> MilterClient:
        """A client that got this answer."""
        client = MilterClient(strict=strict)
        client.negotiate()
        read_all(client, data)
        return client

    def refuse(self, *answers: bytes, strict: bool = True) -> list[str]:
        """The reasons for which the answers are violations."""
        return [str(self.assertRaises(ProtocolViolation, self.answer, data, strict=strict).reason) for data in answers]

    def test_vectors(self) -> None:
        """V40, V42, V43: legal answers."""
        for name in ("V40", "V41", "V43"):
            self.assertEqual(self.answer(VECTORS[name]).replies_owed, 0)
        client = MilterClient(2, 0x3F, 0x7F)
        client.negotiate()
        read_all(client, VECTORS["V42"])
        self.assertEqual(client.agreement and client.agreement.version, 2)

    def test_no_negotiation(self) -> None:
        """Row 65: another letter, or the end of the connection, in place of the answer."""
        for reason in self.refuse(VECTORS["V44"], VECTORS["V45"], VECTORS["V46"], strict=False):
            self.assertIn("filter did not negotiate", reason)
        client = MilterClient()
        client.negotiate()
        violation = self.assertRaises(ProtocolViolation, client.receive_eof)
        self.assertIn("filter did not negotiate", violation.reason)
        (reason,) = self.refuse(b"HTTP/1.1 400 Bad Request\r\n")
        self.assertIn("allowed 1..1048577", reason)

    def test_short_answer(self) -> None:
        """Row 66: fewer than 12 octets."""
        self.refuse(encode_frame(ord("O"), b"\0" * 11), strict=False)

    def test_bad_numbers(self) -> None:
        """Row 66: versions and bits that were not offered: an error, or a warning when lenient."""
        answers = [
            agreement(7),
            agreement(1),
            agreement(0),
            agreement(actions=0x200),
            agreement(protocol=0x10000000),
        ]
        self.assertEqual(len(self.refuse(*answers)), 5)
        for data in answers:
            self.assertEqual(len(self.answer(data, strict=False).take_warnings()), 1)

    def test_bad_lists(self) -> None:
        """Row 67: a list cut short, stage 9, more than 50 names."""
        answers = [
            agreement(lists=b"\0\0"),
            agreement(lists=b"\0\0\0\1x"),
            agreement(lists=b"\0\0\0\x09i\0"),
            agreement(lists=b"\0\0\0\1" + b"i " * 51 + b"\0"),
        ]
        self.assertEqual(len(self.refuse(*answers)), 4)
        for data in answers:
            self.assertEqual(len(self.answer(data, strict=False).take_warnings()), 1)

    def test_bits_without_effect(self) -> None:
        """2.4: a protocol bit that was not offered changes nothing."""
        client = MilterClient(6, 0x1FF, 0x7F, strict=False)
        client.negotiate()
        read_all(client, agreement(protocol=int(ProtocolFlag.NR_HELO)))
        client.helo("x")
        self.assertEqual(client.replies_owed, 1)


class AccountTests(SynchronousTestCase):
    """Which replies are owed."""

    def test_replies_belong_to_commands(self) -> None:
        """1.1: answers come in the order of the commands."""
        client = agreed()
        for octets in (client.helo("x"), client.mail("<>"), client.rcpt("<a@b>")):
            self.assertTrue(octets)
        self.assertEqual((client.replies_owed, client.awaited), (3, "HELO"))
        replies = read_all(client, VECTORS["V44"] + VECTORS["V46"])
        self.assertEqual([chr(reply.answers) for reply in replies], ["H", "M"])
        self.assertEqual((client.replies_owed, client.awaited), (1, "RCPT"))

    def test_nothing_is_owed_without_reply(self) -> None:
        """2.7: NR commands, ABORT, QUIT and macros owe nothing."""
        client = agreed(int(ProtocolFlag.NR_HELO))
        client.helo("x")
        client.abort()
        client.macros(ord("M"), {})
        self.assertEqual((client.replies_owed, client.awaited), (0, ""))

    def test_surplus_reply(self) -> None:
        """Row 69: an answer to a command without reply, which real MTAs would read as the next one's."""
        client = agreed(int(ProtocolFlag.NR_HDR))
        client.header("A", "b")
        violation = self.assertRaises(ProtocolViolation, read_all, client, VECTORS["V44"])
        self.assertEqual(violation.reason, "surplus reply CONTINUE: nothing is owed after HEADER")

    def test_second_verdict(self) -> None:
        """Row 78: two verdicts at E are found before the next command is sent."""
        client = at_end()
        client.receive_data(VECTORS["V44"] * 2)
        client.next_reply()
        violation = self.assertRaises(ProtocolViolation, client.mail, "<>")
        self.assertIn("surplus reply before MAIL", violation.reason)

    def test_missing_reply(self) -> None:
        """Row 70: at the end of the connection, or of patience, the command is named."""
        client = agreed()
        client.helo("x")
        violation = self.assertRaises(ProtocolViolation, client.receive_eof)
        self.assertIn("HELO was not answered", violation.reason)

    def test_end_inside_a_frame(self) -> None:
        """Row 13, the other way round."""
        client = agreed()
        client.receive_eof()
        client.receive_data(b"\0\0")
        self.assertRaises(ProtocolViolation, client.receive_eof)

    def test_bad_lengths(self) -> None:
        """Row 68: 0, or more than the cap."""
        for data in (b"\0\0\0\0", pack(">I", reply_account.MAX_REPLY_FRAME + 1)):
            client = at_end()
            self.assertRaises(ProtocolViolation, read_all, client, data)
            self.assertRaises(ProtocolViolation, client.next_reply)


class ReplyTests(SynchronousTestCase):
    """What replies say."""

    def one(self, frame: bytes, *, strict: bool = True) -> ParsedReply:
        """The reply of a frame that came at END-OF-MESSAGE."""
        (reply,) = read_all(at_end(strict=strict), frame)
        return reply

    def test_verdict_vectors(self) -> None:
        """V44 to V54: letters, codes and texts."""
        for name in ("V44", "V45", "V46", "V47", "V48", "V49"):
            self.assertTrue(self.one(VECTORS[name]).is_verdict)
        self.assertFalse(self.one(VECTORS["V50"]).is_verdict)
        for name, code, status, lines in (
            ("V51", 571, "5.7.1", ("foobar",)),
            ("V52", 550, "5.7.1", ("Reject", "this", "message")),
            ("V53", 550, "5.7.1", ("100% spam",)),
            ("V54", 421, "4.3.2", ("closing",)),
        ):
            reply = self.one(VECTORS[name])
            self.assertEqual((reply.code, reply.status, reply.lines), (code, status, lines))

    def test_reply_without_status(self) -> None:
        """3.5: the enhanced status code is optional."""
        reply = self.one(encode_frame(ord("y"), b"550 no such user\0"))
        self.assertEqual((reply.status, reply.lines), ("", ("no such user",)))

    def test_modification_vectors(self) -> None:
        """V55 to V71: each frame becomes the modification that makes it."""
        for name, change in CHANGES.items():
            client = at_end()
            (reply,) = read_all(client, VECTORS[name])
            self.assertEqual((name, reply.modification, client.modifications), (name, change, [change]))

    def test_arguments_that_we_never_send(self) -> None:
        """V63, V66: parsed, but no modification of ours; MTAs differ in what they do."""
        for name, strings in (
            ("V63", (b"<>", b"A=B")),
            ("V66", (b"purepythonmilter@gertvandijk.nl", b"FOO=BAR LOREM")),
        ):
            client = at_end()
            (reply,) = read_all(client, VECTORS[name])
            self.assertEqual((reply.strings, reply.modification, client.modifications), (strings, None, []))
            self.assertEqual(len(client.take_warnings()), 1)

    def test_leading_space(self) -> None:
        """V56: with HDR_LEADSPC one blank is not part of the value."""
        client = at_end(int(ProtocolFlag.HDR_LEADSPC))
        read_all(client, VECTORS["V56"])
        read_all(client, encode_frame(ord("h"), b"X-Sp\0   Bar\0"))
        self.assertEqual(client.modifications, [AddHeader("X-Sp", "Bar"), AddHeader("X-Sp", "  Bar")])

    def test_occurrence_zero(self) -> None:
        """4.3: both MTAs read occurrence 0 as 1."""
        client = at_end()
        read_all(client, encode_frame(ord("m"), b"\0\0\0\0A\0b\0"))
        self.assertEqual(client.modifications, [ChangeHeader("A", 1, "b")])

    def test_body_in_pieces(self) -> None:
        """V68, V70: the chunks of a new body are one modification."""
        client = at_end()
        read_all(client, encode_frame(ord("b"), b"y" * 65_535) + VECTORS["V68"])
        self.assertEqual(client.modifications, [ReplaceBody(b"y" * 65_535 + b"foobar")])

    def test_malformed_modifications(self) -> None:
        """Row 72: the frame is named."""
        for letter, payload, name in (
            (b"h", b"A\0b", "ADD-HEADER"),
            (b"h", b"A\0", "ADD-HEADER"),
            (b"i", b"\0\0\0", "INSERT-HEADER"),
            (b"m", b"\0\0\0\1A\0", "CHANGE-HEADER"),
            (b"+", b"<a@b>\0<c@d>\0", "ADD-RECIPIENT"),
            (b"+", b"<a@b>", "ADD-RECIPIENT"),
            (b"2", b"<a@b>\0", "ADD-RECIPIENT-WITH-ARGUMENTS"),
            (b"-", b"", "DELETE-RECIPIENT"),
            (b"e", b"<>\0A=B\0C=D\0", "CHANGE-SENDER"),
            (b"q", b"reason", "QUARANTINE"),
        ):
            violation = self.assertRaises(ProtocolViolation, self.one, encode_frame(ord(letter), payload), strict=False)
            self.assertTrue(violation.reason.startswith(name + " "), violation.reason)

    def test_malformed_reply_codes(self) -> None:
        """Row 72, 3.5: texts that Postfix calls malformed, or that would hang an SMTP client."""
        for text in (
            b"550 5.7.1 no NUL",
            b"550\0",
            b"550- only line\0",
            b"550 4.7.1 class\0",
            b"250 2.0.0 ok\0",
            b"554 5.7.1 a\r\n550 5.7.1 b\0",
            b"550 5.7.1 a\r\n550 5.7.1 b\0",
            b"550-5.7.1 a\r\n554 5.7.1 b\0",
            b"550 5.7.1 a\r\n\0",
            b"\0",
            b"",
        ):
            violation = self.assertRaises(ProtocolViolation, self.one, encode_frame(ord("y"), text), strict=False)
            self.assertTrue(violation.reason.startswith("REPLY-CODE "), (text, violation.reason))

    def test_payload_where_none_belongs(self) -> None:
        """Row 73: an error when strict, for Postfix would refuse it."""
        frame = encode_frame(ord("c"), b"x")
        self.assertRaises(ProtocolViolation, self.one, frame)
        self.assertEqual(self.one(frame, strict=False).letter, ord("c"))

    def test_frames_that_are_errors(self) -> None:
        """Row 74, V72, V73: SHUTDOWN, CONN_FAIL, a bare list, unknown letters, commands."""
        for frame in (VECTORS["V72"], VECTORS["V73"], *(encode_frame(letter) for letter in b"lZ\0OEA")):
            self.assertRaises(ProtocolViolation, self.one, frame, strict=False)


class WarningTests(SynchronousTestCase):
    """What one of the MTAs would not like, although the protocol goes on."""

    def warnings(self, client: MilterClient, data: bytes) -> list[str]:
        """What is said of these replies."""
        read_all(client, data)
        return client.take_warnings()

    def at_helo(self) -> MilterClient:
        """A client that awaits the answer to HELO."""
        client = agreed(int(ProtocolFlag.SKIP))
        client.helo("x")
        return client

    def test_too_early(self) -> None:
        """Row 71: modifications and progress before E, skip outside B; the effect on each MTA is named."""
        for frame, name in (("V55", "ADD-HEADER"), ("V50", "PROGRESS"), ("V49", "SKIP")):
            (text,) = self.warnings(self.at_helo(), VECTORS[name] if name in VECTORS else VECTORS[frame])
            self.assertTrue(text.startswith(name) and "sendmail" in text, text)

    def test_early_modification_has_no_effect(self) -> None:
        """3.6: MTAs drop the filter; here it is not among the modifications."""
        client = self.at_helo()
        self.warnings(client, VECTORS["V55"])
        self.assertEqual(client.modifications, [])

    def test_early_skip_leaves_the_body(self) -> None:
        """3.7: only SKIP at BODY ends the body."""
        client = self.at_helo()
        read_all(client, VECTORS["V49"])
        self.assertEqual(letters_of(client.body(b"x")), "B")

    def test_skip_without_the_bit(self) -> None:
        """3.7: SKIP needs its protocol bit."""
        client = agreed()
        client.body(b"x")
        self.assertEqual(len(self.warnings(client, VECTORS["V49"])), 1)

    def test_discard_too_early(self) -> None:
        """3.4: at CONNECT and HELO it is no verdict."""
        self.assertEqual(len(self.warnings(self.at_helo(), VECTORS["V48"])), 1)

    def test_lone_percent(self) -> None:
        """3.5: sendmail drops a text with a single percent sign."""
        self.assertEqual(len(self.warnings(at_end(), encode_frame(ord("y"), b"550 5.7.1 100% x\0"))), 1)
        self.assertEqual(self.warnings(at_end(), VECTORS["V53"]), [])

    def test_action_that_was_not_negotiated(self) -> None:
        """3.6: sendmail complains, Postfix does it or not."""
        client = at_end(actions=int(Action.ADDHDRS))
        self.assertEqual(self.warnings(client, VECTORS["V55"]), [])
        self.assertIn("CHGBODY", self.warnings(client, VECTORS["V68"])[0])

    def test_interleaved_body(self) -> None:
        """Row 75: another modification between two chunks of a body."""
        body, header = VECTORS["V68"], VECTORS["V55"]
        self.assertEqual(self.warnings(at_end(), header + body + body + header), [])
        (text,) = self.warnings(at_end(), body + header + body)
        self.assertIn("Postfix", text)

    def test_names_that_we_never_send(self) -> None:
        """4.2: MTAs take a colon in a field name; it is no modification of ours."""
        client = at_end()
        self.assertEqual(len(self.warnings(client, encode_frame(ord("h"), b"a:b\0c\0"))), 1)


class LimitTests(SynchronousTestCase):
    """What a filter cannot do without end."""

    def test_progress(self) -> None:
        """Row 76."""
        client = at_end()
        read_all(client, VECTORS["V50"] * reply_account.MAX_PROGRESS)
        self.assertRaises(ProtocolViolation, read_all, client, VECTORS["V50"])

    def test_body(self) -> None:
        """Row 77: a total size, and a number of chunks."""
        self.patch(reply_account, "MAX_NEW_BODY", 10)
        client = at_end()
        read_all(client, encode_frame(ord("b"), b"x" * 10))
        self.assertRaises(ProtocolViolation, read_all, client, encode_frame(ord("b"), b"x"))
        self.patch(reply_account, "MAX_NEW_BODY_CHUNKS", 2)
        self.assertRaises(ProtocolViolation, read_all, at_end(), VECTORS["V69"] * 3)

    def test_modifications(self) -> None:
        """Row 77, for header changes."""
        self.patch(reply_account, "MAX_CHANGES", 3)
        self.assertRaises(ProtocolViolation, read_all, at_end(), VECTORS["V55"] * 4)

    def test_each_message_counts_anew(self) -> None:
        """Limits and modifications are those of one message."""
        client = at_end()
        read_all(client, VECTORS["V55"] + VECTORS["V68"] + VECTORS["V44"])
        client.end_of_message()
        self.assertEqual((client.modifications, FRAMES["E"]), ([], VECTORS["V32"]))
