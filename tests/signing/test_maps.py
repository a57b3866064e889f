"""The maps of an MTA (gossip-srs-dns-spec 5.2, abuse cases 26, 30, 32 and 34)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.signing.batv import BATV
from twistedmilter.signing.keys import KeyRing, Secret
from twistedmilter.signing.maps import AddressMaps
from twistedmilter.signing.rewriting import BATVDomains, Rewriter, SESDomains, SRSDomains
from twistedmilter.signing.ses import SES
from twistedmilter.signing.srs import SRS
from twistedmilter.signing.srs_hash import SRSHash
from twistedmilter.wire.netstring import NetstringDecoder
from twistedmilter.wire.socketmap import Status, encode_reply, encode_request, parse_request

NOW = 1_700_000_000.0
KEYS = KeyRing.of(b"shhhh!")


def maps(*, legacy: bool = True) -> AddressMaps:
    """As pysrs was configured when 5.2 was captured."""
    form = SRSHash(keys=KEYS, max_age=8, legacy=legacy, url_safe=not legacy)
    srs = SRSDomains(srs=SRS(hash=form), forward="fwd.example", sign=frozenset({"sign.example"}))
    ses = SESDomains(
        ses=SES(keys=KEYS, days=8, fixed_senders=frozenset({"news@ses.example"})),
        sign=frozenset({"ses.example"}),
        next_number=lambda _now: 1,
        fixed={"news@ses.example": 7},
    )
    batv = BATVDomains(batv=BATV(keys={0: Secret(b"secret")}), sign=frozenset({"batv.example"}))
    return AddressMaps(
        Rewriter(
            srs=srs,
            ses=ses,
            batv=batv,
            is_local=lambda domain: domain == "local.example",
            exempt_hosts=frozenset({"mx.nosrs.example"}),
        )
    )


class MapTestCase(SynchronousTestCase):
    """Asks as an MTA does."""

    maps = maps()

    def ask(self, request: str, now: float = NOW) -> str:
        """A request and the reply to it, as the latin-1 texts of their payloads."""
        map_name, key = parse_request(request.encode("latin-1"))
        return self.maps.answer(map_name, key, now).payload.decode("latin-1")


class CapturedTests(MapTestCase):
    """Every exchange captured in 5.2, octet for octet."""

    def test_captured(self) -> None:
        """Length, colon, payload, comma, both ways."""
        hop = "mx.dest.example.\x9b"
        one = "SRS0=IJx2ja/b=G3=gathman.org=stuart<@fwd.example.>"
        foreign = "SRS0=0VsNqZ8j=G3=gathman.org=stuart<@fwd.example.>"
        later = "SRS1=x1HxF8Ob=fwd.example==IJx2ja/b=G3=gathman.org=stuart<@fwd.example.>"
        for wire, reply in (
            ("47:make_srs mx.dest.example.\x9bstuart<@gathman.org.>,", f"53:OK {one},"),
            ("31:make_srs \x9bstuart<@gathman.org.>,", "24:OK stuart<@gathman.org.>,"),
            ("48:make_srs mx.nosrs.example.\x9bstuart<@gathman.org.>,", "24:OK stuart<@gathman.org.>,"),
            ("29:make_srs mx.dest.example.\x9b<@>,", "6:OK <@>,"),
            (
                f"48:make_srs {hop}stuart<@sign.example.>,",
                "43:OK SRS0=hYMZxAkC=G3==stuart<@sign.example.>,",
            ),
            (
                f"47:make_srs {hop}stuart<@ses.example.>,",
                "46:OK SES=FE7F4G03HY2KI03IH=stuart<@ses.example.>,",
            ),
            (f"76:make_srs mx.dest.example.\x9b{one},", f"53:OK {one},"),
            (
                f"76:make_srs mx.dest.example.\x9b{foreign},",
                "75:OK SRS1=aVcNz9Cd=fwd.example==0VsNqZ8j=G3=gathman.org=stuart<@fwd.example.>,",
            ),
            (f"62:reverse_srs {one},", "24:OK stuart<@gathman.org.>,"),
            (f"62:reverse_srs {one.lower()},", "24:OK stuart<@gathman.org.>,"),
            (f"84:reverse_srs {later},", "24:OK stuart<@gathman.org.>,"),
            ("55:reverse_srs SES=NMBKJE69SZ33W9F8H=stuart<@ses.example.>,", "24:OK stuart<@ses.example.>,"),
            (
                "62:reverse_srs SRS0=AAAAAAAA=G3=gathman.org=stuart<@fwd.example.>,",
                "53:OK SRS0=AAAAAAAA=G3=gathman.org=stuart<@fwd.example.>,",
            ),
            ("30:reverse_srs joe<@fwd.example.>,", "21:OK joe<@fwd.example.>,"),
            ("22:reverse_srs |/bin/prog,", '15:OK "|/bin/prog",'),
        ):
            decoder = NetstringDecoder()
            decoder.receive_data(wire.encode("latin-1"))
            payload = decoder.next_string()
            assert payload is not None
            map_name, key = parse_request(payload)
            answer = self.maps.answer(map_name, key, NOW)
            self.assertEqual(encode_reply(answer).decode("latin-1"), reply, wire)
            self.assertEqual(encode_request(map_name, key or b""), wire.encode("latin-1"))


class SendmailTests(MapTestCase):
    """make_srs and reverse_srs beyond what was captured."""

    def test_names(self) -> None:
        """Hyphen and underscore are the same in a name."""
        for name in ("make_srs", "make-srs"):
            self.assertEqual(self.ask(f"{name} <@>"), "OK <@>")

    def test_ways_to_name_the_next_hop(self) -> None:
        """0x9b, a tab or a blank, in any case; none at all is a sender only."""
        for between in ("\x9b", "\t", " "):
            self.assertIn("SRS0=", self.ask(f"make_srs MX.dest.example.{between}stuart<@gathman.org.>"))
            self.assertEqual(self.ask(f"make_srs MX.NOSRS.example.{between}a<@b.example.>"), "OK a<@b.example.>")
        self.assertIn("SRS0=", self.ask("make_srs stuart<@gathman.org.>"))
        self.assertIn("SRS0=", self.ask("make_srs stuart@gathman.org"))
        self.assertIn('OK "SRS0=', self.ask('make_srs "a b"<@gathman.org.>'))

    def test_signed_once(self) -> None:
        """What carries our signature stays; the reference signed SES senders twice."""
        for domain in ("ses.example", "sign.example", "batv.example", "gathman.org"):
            once = self.ask(f"make_srs mx.dest.example.\x9bjoe<@{domain}.>")
            self.assertNotEqual(once, f"OK joe<@{domain}.>")
            self.assertEqual(self.ask(f"make_srs mx.dest.example.\x9b{once[3:]}"), once)
            self.assertEqual(self.ask(f"reverse_srs {once[3:]}"), f"OK joe<@{domain}.>")

    def test_fixed(self) -> None:
        """Case 30: a sender that others know by its address always has the same signature."""
        signed = self.ask("make_srs mx.dest.example.\x9bnews<@ses.example.>")
        self.assertEqual(signed, self.ask("make_srs mx.dest.example.\x9bnews<@ses.example.>", NOW + 1e8))
        self.assertEqual(self.ask(f"reverse_srs {signed[3:]}", NOW + 1e9), "OK news<@ses.example.>")

    def test_unchanged(self) -> None:
        """Our own domains, exempt hosts, addresses that cannot be signed: mail flows on."""
        for address in (
            "joe<@local.example.>",
            "joe<@fwd.example.>",
            f"{'x' * 60}<@a.example.>",
            "joe",
            "joe<@[192.0.2.1]>",
        ):
            self.assertEqual(self.ask(f"make_srs mx.dest.example.\x9b{address}"), f"OK {address}")

    def test_metacharacters(self) -> None:
        """Case 34: what sendmail would read as syntax is refused, and never sent back."""
        for key in (
            "a\r\nb<@c.example.>",
            "a\x9bb\x9b<@c.example.>",
            "a\x80<@c.example.>",
            "a<b<@c.example.>",
            "a<@b<@c>",
            "a>b",
            "\0",
        ):
            for name in ("make_srs mx.example.\x9b", "reverse_srs "):
                self.assertEqual(self.ask(name + key), "PERM Invalid address.", key)
        self.assertEqual(self.ask('reverse_srs |"/bin/prog x"'), 'OK |"/bin/prog x"')
        self.assertEqual(self.ask("reverse_srs |/bin/prog\n"), "PERM Invalid address.")
        for key in ("a@b<@gathman.org.>", "|prog<@gathman.org.>"):
            self.assertNotIn("OK SRS0=a@", self.ask(f"make_srs mx.example.\x9b{key}"))

    def test_long(self) -> None:
        """Case 27: what no MTA could use is refused."""
        for name in ("make_srs", "reverse_srs"):
            self.assertEqual(self.ask(f"{name} {'x' * 500}<@gathman.org.>"), "PERM Too big.")

    def test_foreign_hop(self) -> None:
        """Of what came from another forwarder our signature comes off, and theirs stays."""
        sent = self.ask("make_srs mx.example.\x9bSRS0=a=G3=b.example=c<@other.example.>")
        self.assertRegex(sent, "^OK SRS1=.{8}=other.example==a=G3=b.example=c<@fwd.example.>$")
        self.assertEqual(self.ask(f"reverse_srs {sent[3:]}"), "OK SRS0=a=G3=b.example=c<@other.example.>")

    def test_octets(self) -> None:
        """What is not ASCII comes back as it was (case 35)."""
        self.assertEqual(self.ask("reverse_srs r\xc3\xa9<@fwd.example.>"), "OK r\xc3\xa9<@fwd.example.>")
        self.assertEqual(self.ask("reverse_srs r\xe9<@fwd.example.>"), "OK r\xe9<@fwd.example.>")


class PostfixTests(MapTestCase):
    """forward, reverse and the two that only verify."""

    def test_forward(self) -> None:
        """A plain address out; NOTFOUND leaves it alone."""
        for key, reply in (
            ("stuart@gathman.org", "OK SRS0=IJx2ja/b=G3=gathman.org=stuart@fwd.example"),
            ("stuart@sign.example", "OK SRS0=hYMZxAkC=G3==stuart@sign.example"),
            ("stuart", "NOTFOUND No domain."),
            ("", "NOTFOUND No domain."),
            ("joe@local.example", "NOTFOUND Need not rewrite local domain."),
            ("joe@fwd.example", "NOTFOUND Need not rewrite local domain."),
            ("x" * 513, "PERM Too big."),
            ("a\nb@c.example", "PERM Invalid address."),
        ):
            self.assertEqual(self.ask(f"forward {key}"), reply)

    def test_reverse(self) -> None:
        """PostSRSd's words for what is not reversed."""
        for key, reply in (
            ("SRS0=IJx2ja/b=G3=gathman.org=stuart@fwd.example", "OK stuart@gathman.org"),
            ("joe@fwd.example", "NOTFOUND Not an SRS address."),
            ("SRS0=AAAAAAAA=G3=gathman.org=stuart@fwd.example", "NOTFOUND Hash invalid in SRS address."),
        ):
            self.assertEqual(self.ask(f"reverse {key}"), reply)
        old = "reverse SRS0=IJx2ja/b=G3=gathman.org=stuart@fwd.example"
        self.assertEqual(self.ask(old, NOW + 30 * 86_400), "NOTFOUND Time stamp out of date.")

    def test_only_ours(self) -> None:
        """Case 26: a good signature at a domain that is not ours leads nowhere."""
        for key in (
            "SRS0=IJx2ja/b=G3=gathman.org=stuart@other.example",
            "SRS0=IJx2ja/b=G3=gathman.org=stuart@local.example",
            "SES=NMBKJE69SZ33W9F8H=stuart@fwd.example",
        ):
            self.assertEqual(self.ask(f"reverse {key}"), "NOTFOUND Not a local address.")

    def test_rounds(self) -> None:
        """Case 27: signatures in one another come off, but no more than three."""
        srs = SRS(hash=SRSHash(keys=KEYS, max_age=8, legacy=True), max_local_part=400)
        batv = BATV(keys={0: Secret(b"secret")}, max_local_part=400)
        tagged = batv.sign("joe@batv.example", NOW)
        for innermost, reversed_ in ((tagged, "joe@batv.example"), (batv.sign(tagged, NOW), tagged)):
            address = innermost
            for _ in range(2):  # SRS0, then SRS1
                address = srs.forward(address, "fwd.example", NOW, always=True)
            self.assertEqual(self.ask(f"reverse {address}"), f"OK {reversed_}")

    def test_verify_only(self) -> None:
        """Each of the two believes its own kind."""
        for name, domain, other in (("ses_verify", "ses.example", "batv"), ("batv_verify", "batv.example", "ses")):
            signed = self.ask(f"forward joe@{domain}")[3:]
            self.assertEqual(self.ask(f"{name} {signed}"), f"OK joe@{domain}")
            self.assertEqual(self.ask(f"{other}_verify {signed}"), "NOTFOUND Not an SRS address.")
            self.assertEqual(self.ask(f"{name} joe@{domain}"), "NOTFOUND Not an SRS address.")

    def test_nothing_configured(self) -> None:
        """Without domains nothing is signed and nothing is believed."""
        bare = AddressMaps(Rewriter())
        for name in (b"forward", b"reverse", b"ses_verify", b"batv_verify"):
            self.assertEqual(bare.answer(name, b"SRS0=a=b=c=d@e.example", NOW).status, Status.NOTFOUND)


class SnapshotTests(SynchronousTestCase):
    """What the administrator can see."""

    def test_secrets_in_use(self) -> None:
        """Which secrets still verify something, so that an old one can go; and that some MTA folds case."""
        old = Rewriter(srs=SRSDomains(srs=SRS(hash=SRSHash(keys=KeyRing.of(b"old"))), forward="fwd.example"))
        both = SRS(hash=SRSHash(keys=KeyRing.of(b"new", b"old")))
        asked = AddressMaps(Rewriter(srs=SRSDomains(srs=both, forward="fwd.example")))
        sent = old.outgoing("joe@gathman.org", NOW).encode()
        for key in (sent, sent.lower(), asked.answer(b"forward", b"joe@gathman.org", NOW).text, b"x@fwd.example"):
            asked.answer(b"reverse", key, NOW)
        self.assertEqual(
            asked.snapshot(),
            {
                "verified_by_secret": {Secret(b"old").key_id: 2, Secret(b"new").key_id: 1},
                "case_changed": 1,
            },
        )


class GuessTests(SynchronousTestCase):
    """Case 22, S5: guesses at short signatures are counted."""

    def guess(self, asked: AddressMaps, now: float) -> Status:
        """The answer to a guess."""
        return asked.answer(b"reverse", b"SRS0=AAAAAAAA=G3=gathman.org=stuart@fwd.example", now).status

    def test_limit(self) -> None:
        """The hundred and first in a minute has no answer, nor has a good one; a minute later both have."""
        asked = maps()  # with BATV, which is worth 24 bits
        good = asked.answer(b"forward", b"joe@batv.example", NOW).text
        statuses = [self.guess(asked, NOW) for _ in range(101)]
        self.assertEqual(statuses, [Status.NOTFOUND] * 100 + [Status.TEMP])
        self.assertEqual(asked.answer(b"batv_verify", good, NOW + 59).status, Status.TEMP)
        self.assertEqual(asked.answer(b"batv_verify", good, NOW + 60).status, Status.OK)
        self.assertEqual(self.guess(asked, NOW + 60), Status.NOTFOUND)

    def test_no_limit(self) -> None:
        """Eight characters are not guessed, so nobody can keep bounces away by trying."""
        form = SRSHash(keys=KEYS)
        asked = AddressMaps(Rewriter(srs=SRSDomains(srs=SRS(hash=form), forward="fwd.example")))
        self.assertEqual({self.guess(asked, NOW) for _ in range(300)}, {Status.NOTFOUND})
        short = SRSHash(keys=KEYS, minimum=4)
        self.assertTrue(Rewriter(srs=SRSDomains(srs=SRS(hash=short))).is_guessable)


class HostileTests(MapTestCase):
    """Whoever reaches the socket may ask anything."""

    def test_names(self) -> None:
        """Case 32: the names of maps are a fixed table."""
        for request in (
            "",
            "forward",
            "__class__ x",
            "answer x",
            "maps x",
            "_rewriter x",
            "make srs",
            "FORWARD x",
            "\xff x",
        ):
            self.assertEqual(self.ask(request), "PERM Invalid map.")

    @given(st.sampled_from(sorted(maps().maps)), st.binary(max_size=100), st.booleans())
    def test_any_key(self, name: bytes, key: bytes, legacy: bool) -> None:
        """Any key has a reply without control characters, and no address that was not asked for."""
        for each in (key, b"SRS0=IJx2ja/b=G3=" + key, key + b"@fwd.example", b"SES=" + key + b"<@ses.example.>"):
            reply = maps(legacy=legacy).answer(name, each, NOW)
            self.assertIn(reply.status, (Status.OK, Status.NOTFOUND, Status.PERM))
            self.assertNotRegex(reply.text, rb"[\x00-\x1f\x7f]")

    @given(st.from_regex(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]{1,14}", fullmatch=True), st.booleans())
    def test_round_trip(self, user: bytes, legacy: bool) -> None:
        """What Postfix sends out comes back."""
        each = maps(legacy=legacy)
        address = user + b"@gathman.org"
        sent = each.answer(b"forward", address, NOW)
        if b"SRS1" not in sent.text:
            self.assertEqual(each.answer(b"reverse", sent.text, NOW).text, address)
