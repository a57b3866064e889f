"""Tests of what is asked of DNS lists and of what their answers mean (RFC 5782)."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.dnsbl_settings import DnsListSettings
from twistedmilter.policy.dns_lists import MAX_TEXT, CodeFilter, DnsList, clean_text, reversed_address, wrong_answer

SIX = "1." + "0." * 23 + "8.b.d.0.1.0.0.2"


class CodeFilterTests(SynchronousTestCase):
    """Which return codes an entry names."""

    def test_forms(self) -> None:
        """An address, a range and Postfix's pattern."""
        for text, inside, outside in (
            ("127.0.0.2", ["127.0.0.2"], ["127.0.0.3", "127.0.1.2"]),
            ("127.0.0.4/30", ["127.0.0.4", "127.0.0.7"], ["127.0.0.3", "127.0.0.8"]),
            ("127.0.0.[2..5]", ["127.0.0.2", "127.0.0.5"], ["127.0.0.1", "127.0.0.6"]),
            ("127.0.0.[2;4;10..11]", ["127.0.0.2", "127.0.0.4", "127.0.0.11"], ["127.0.0.3", "127.0.0.9"]),
            ("127.0.[0..255].3", ["127.0.9.3"], ["127.0.9.2", "127.1.9.3"]),
            ("127.0.0.0/8", ["127.0.0.2", "127.9.9.9"], []),
        ):
            codes = CodeFilter.parse(text)
            self.assertEqual([each for each in inside if not codes.matches(IPv4Address(each))], [], text)
            self.assertEqual([each for each in outside if codes.matches(IPv4Address(each))], [], text)

    def test_wrong(self) -> None:
        """What is no code, and what is never a listing, is told."""
        for text, wrong in (
            ("10.0.0.2", "those are in 127.0.0.0/8"),
            ("[126..127].0.0.2", "those are in 127.0.0.0/8"),
            ("127.0.0.256", "'256' is no number up to 255"),
            ("127.0.0.[5..2]", "'5..2' is no number"),
            ("127.0.0.[2,5]", "is no return code"),
            ("127.0.0.[]", "is no return code"),
            ("127.0.0.5/30", "is no return code"),
            ("127.0.0", "is no return code"),
            ("::1", "is no return code"),
            ("127.255.255.254", "never a listing"),
            ("127.255.255.0/24", "never a listing"),
            ("127.0.0.1", "never a listing"),
        ):
            with self.assertRaisesRegex(ValueError, wrong):
                CodeFilter.parse(text)

    @given(st.text("0123456789.[];/:", max_size=30) | st.text(max_size=20))
    def test_any_text(self, text: str) -> None:
        """Whatever stands there is read or refused, nothing else."""
        try:
            CodeFilter.parse(text)
        except ValueError as problem:
            self.assertIn("allowed are", str(problem))


class AnswerTests(SynchronousTestCase):
    """What tells of the list, not of who was asked about."""

    def test_errors(self) -> None:
        """127.255.255.0/24 is an error and never a listing; so are 127.0.0.1 and what is outside 127/8."""
        for code in ("127.255.255.0", "127.255.255.252", "127.255.255.254", "127.255.255.255", "127.0.0.1"):
            self.assertIn("may not ask", wrong_answer(IPv4Address(code)))
        for code in ("192.0.2.1", "126.255.255.255", "128.0.0.0"):
            self.assertIn("no return code", wrong_answer(IPv4Address(code)))
        for code in ("127.0.0.2", "127.255.254.255", "127.1.2.3"):
            self.assertEqual(wrong_answer(IPv4Address(code)), "")


class DnsListTests(SynchronousTestCase):
    """Names, probes and codes of one list."""

    def test_names_of_clients(self) -> None:
        """RFC 5782 sections 2.1 and 2.4: octets, nibbles, the last first; a mapped address is the IPv4 address."""
        bl = DnsList.parse(DnsListSettings(zone="BL.Example.net."))
        self.assertEqual(bl.query("192.0.2.9"), "9.2.0.192.bl.example.net")
        self.assertEqual(bl.query("2001:db8::1"), f"{SIX}.bl.example.net")
        self.assertEqual(reversed_address(ip_address("::ffff:192.0.2.9")), "9.2.0.192")
        self.assertEqual(bl.query("mail.example.org"), "")
        self.assertEqual(
            (bl.query(bl.probe), bl.never_listed), ("2.0.0.127.bl.example.net", "1.0.0.127.bl.example.net")
        )

    def test_names_of_domains(self) -> None:
        """RFC 5782 section 2.2: the domain itself; what is no host name is not asked about."""
        rhsbl = DnsList.parse(DnsListSettings(zone="rhsbl.example.net", kind="sender"))
        self.assertEqual(rhsbl.query("DED307.com"), "ded307.com.rhsbl.example.net")
        self.assertEqual(rhsbl.query("b\u00fccher.example"), "xn--bcher-kva.example.rhsbl.example.net")
        for wrong in ("", "[192.0.2.1]", "192.0.2.1", "a b.example", "-a.example", "a..example", "x" * 64 + ".example"):
            self.assertEqual(rhsbl.query(wrong), "", wrong)
        self.assertEqual(rhsbl.query(".".join(["x" * 60] * 4)), "")  # too long with the zone
        self.assertEqual(
            (rhsbl.query(rhsbl.probe), rhsbl.never_listed), ("test.rhsbl.example.net", "invalid.rhsbl.example.net")
        )

    def test_the_first_entry_decides(self) -> None:
        """Codes are looked at in the order of the table; one that none names means nothing."""
        bl = DnsList.parse(
            DnsListSettings(zone="bl.example.net", codes={"127.0.0.3": "MARK", "127.0.0.[2..5]": "REJECT"})
        )
        for codes, word in ((["127.0.0.2"], "REJECT"), (["127.0.0.2", "127.0.0.3"], "MARK"), (["127.0.0.9"], "")):
            entry = bl.entry([IPv4Address(code) for code in codes])
            self.assertEqual(str(entry[1]) if entry is not None else "", word)

    def test_wrong(self) -> None:
        """A list that cannot be used says why."""
        for keys, wrong in (
            ({"zone": ""}, "is no domain of a list"),
            ({"zone": "example"}, "is no domain of a list"),
            ({"zone": "a b.example"}, "is no domain of a list"),
            ({"zone": "bl.example", "codes": {}}, "codes is empty"),
            ({"zone": "bl.example", "codes": {"2": "REJECT"}}, "codes: '2' is no return code"),
            ({"zone": "bl.example", "codes": {"127.0.0.2": "DROP"}}, "codes: 'DROP' is no policy word"),
            ({"zone": "bl.example", "probe": "test"}, "probe: 'test' is no address"),
            ({"zone": "bl.example", "kind": "helo", "probe": "127.0.0.2"}, "probe: '127.0.0.2' is no name"),
        ):
            with self.assertRaisesRegex(ValueError, wrong):
                DnsList.parse(DnsListSettings(**keys))

    def test_text(self) -> None:
        """A list's own words are made fit for a reply: printable, without quotes, short."""
        self.assertEqual(clean_text([b"see https://bl.example/", b"?q=1"]), "see https://bl.example/?q=1")
        self.assertEqual(clean_text([b'a "quoted"\\ one\r\n\x00 550 ok \xff\xc3\xa4']), "a quoted one 550 ok ???")
        self.assertEqual(len(clean_text([b"x" * 255, b"y" * 255])), MAX_TEXT)
        self.assertEqual(clean_text([]), "")
