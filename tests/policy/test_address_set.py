"""Tests of the sets of mailboxes (Y04)."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.address import parse_path
from twistedmilter.policy.address_set import AddressSet, folded_domain


class AddressSetTests(SynchronousTestCase):
    """What is in a set of mailboxes."""

    def assertMembers(self, entries: list[str], members: str, strangers: str) -> None:
        """Each path of the first list is in the set, none of the second."""
        addresses = AddressSet.parse(entries)
        self.assertEqual([path for path in members.split() if addresses.match(parse_path(path)) is None], [])
        self.assertEqual([path for path in strangers.split() if addresses.match(parse_path(path))], [])

    def test_mailbox(self) -> None:
        """Y04: user@dom is that mailbox."""
        self.assertMembers(["bob@example.com"], "<bob@example.com>", "<al@example.com> <bob@a.example.com> <bob>")

    def test_local_part_anywhere(self) -> None:
        """user@ is that local part at any domain, and without one."""
        self.assertMembers(["postmaster@"], "<Postmaster@a.example> <postmaster>", "<post@a.example> <>")

    def test_domain(self) -> None:
        """Y04: @dom and dom are every mailbox of that domain only."""
        for entry in ("@example.com", "example.com"):
            self.assertMembers([entry], "<a@example.com> <b@EXAMPLE.COM.>", "<a@b.example.com> <a@xexample.com> <>")

    def test_all_below(self) -> None:
        """.dom is everything below the domain, not the domain itself."""
        self.assertMembers(
            [".example.com"], "<a@b.example.com> <a@c.b.example.com>", "<a@example.com> <a@x-example.com>"
        )
        self.assertMembers(["bob@.example.com"], "<bob@b.example.com>", "<a@b.example.com> <bob@example.com>")

    def test_null_reverse_path(self) -> None:
        """<> is the null reverse-path and nothing else is."""
        self.assertMembers(["<>"], "<>", "<a@example.com>")
        self.assertMembers(["*"], "<a@example.com> <a>", "<>")

    def test_literal(self) -> None:
        """An address-literal is a domain like any other."""
        self.assertMembers(["@[192.0.2.1]"], "<a@[192.0.2.1]>", "<a@[192.0.2.2]>")

    def test_star_stays_in_its_label(self) -> None:
        """A * never crosses a dot of the domain."""
        self.assertMembers(["mail*.example.com"], "<a@mail7.example.com>", "<a@mail.x.example.com> <a@example.com>")
        self.assertMembers(
            ["bounce-*@example.com"], "<bounce-1.2@example.com>", "<bounce@example.com> <bounce-1@a.example>"
        )

    def test_case_is_folded_on_both_sides(self) -> None:
        """LL-16: neither the entry's nor the mailbox's capitals matter."""
        self.assertMembers(["Bob@Example.COM", "WEBMASTER@"], "<bOB@eXample.com> <WebMaster@x.example>", "")

    def test_exception_wins_wherever_it_stands(self) -> None:
        """Y04: a negated entry takes out whatever it matches."""
        for entries in (["example.com", "!bob@example.com"], ["!bob@example.com", "example.com"]):
            self.assertMembers(entries, "<al@example.com>", "<bob@example.com>")

    def test_exceptions_only_leave_the_rest(self) -> None:
        """A set of exceptions holds every other mailbox, the null one too unless it is an exception."""
        self.assertMembers(["!example.com"], "<a@b.example> <>", "<a@example.com>")
        self.assertMembers(["!example.com", "!<>"], "<a@b.example>", "<a@example.com> <>")

    def test_empty_set_holds_nothing(self) -> None:
        """LL-10: an empty list, or an empty entry, matches nobody."""
        for entries in ([], ["", " "]):
            self.assertMembers(entries, "", "<> <a> <a@example.com>")
            self.assertFalse(AddressSet.parse(entries))

    def test_u_label_is_its_a_label(self) -> None:
        """M18: a domain is the same in U-labels and in A-labels, on either side."""
        self.assertMembers(["bücher.example"], "<a@xn--bcher-kva.example> <a@BÜCHER.example>", "<a@bucher.example>")
        self.assertMembers(["xn--bcher-kva.example"], "<a@bücher.example>", "")
        self.assertMembers(["jürgen@example.com"], "<JÜRGEN@example.com>", "<jurgen@example.com>")

    def test_quoted_local_part_is_its_plain_form(self) -> None:
        """Z01: quotes that the grammar does not need make no other mailbox."""
        self.assertMembers(["bob@example.com"], '<"bob"@example.com>', '<"b\\ob@x"@example.com>')

    def test_matched_entry_is_told(self) -> None:
        """The record can say which entry it was."""
        self.assertEqual(AddressSet.parse(["a@b.example", "B.example"]).match(parse_path("x@b.example")), "B.example")

    def test_bad_entry_is_named(self) -> None:
        """A wrong entry raises ValueError that names it."""
        for entry in ("a b@", "@", "a@b c.example", ".", "@-x.example", "file:/etc/passwd", "file:../x", "!"):
            with self.assertRaises(ValueError) as caught:
                AddressSet.parse(["example.com", entry], "/nonexistent")
            self.assertIn(repr(entry), str(caught.exception))

    @given(st.text(), st.text())
    def test_any_text_can_be_asked_about(self, local: str, domain: str) -> None:
        """M18: no mailbox, bad punycode included, raises."""
        addresses = AddressSet.parse(["example.com", "a@", ".example", "x*.example"])
        addresses.match(parse_path(f"{local}@{domain}"))
        addresses.match(parse_path(f"{local}@xn--{domain}"))


class FileTests(SynchronousTestCase):
    """file:NAME entries."""

    def setUp(self) -> None:
        """A file of local parts named after its domain."""
        self.base = Path(self.mktemp())
        self.base.mkdir()
        (self.base / "example.com").write_text("# the staff\nbob\nAlice  # boss\n\n")

    def test_file_of_local_parts(self) -> None:
        """Y04: file:NAME lists the local parts of domain NAME."""
        addresses = AddressSet.parse(["file:example.com"], self.base)
        self.assertEqual(addresses.match(parse_path("BOB@example.com")), "file:example.com")
        self.assertIsNotNone(addresses.match(parse_path("alice@example.com")))
        self.assertIsNone(addresses.match(parse_path("carol@example.com")))
        self.assertIsNone(addresses.match(parse_path("bob@example.net")))

    def test_missing_file_is_told(self) -> None:
        """A file that is not there is a configuration error that names the entry."""
        with self.assertRaisesRegex(ValueError, "file:example.net.*cannot be read"):
            AddressSet.parse(["file:example.net"], self.base)


class FoldedDomainTests(SynchronousTestCase):
    """Domains for comparison."""

    def test_odd_domains_stay_odd(self) -> None:
        """M18: what is no domain comes back in lower case."""
        self.assertEqual(folded_domain("XN--\udcff.Example."), "xn--\udcff.example")
        self.assertEqual(folded_domain("Ü" * 300), "ü" * 300)
        self.assertEqual(folded_domain("[IPv6:2001:DB8::1]"), "[ipv6:2001:db8::1]")
