"""Tests of policy words by tag and address (F02 to F04)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.policy.access import AccessMap
from twistedmilter.policy.policy_table import PolicyTable

TAGS = ("spf-fail", "helo-fail")


def make(table: dict[str, str], access: str = "") -> PolicyTable:
    """A table in front of a map."""
    access_map = AccessMap.parse(access, "access")
    return PolicyTable.parse(table, where="[t]", tags=TAGS, prefix="spf-", access=lambda: access_map)


class FindTests(SynchronousTestCase):
    """Which entry decides."""

    def test_the_most_particular_entry_decides(self) -> None:
        """F03: each step comes before the next, in whichever of the two it stands."""
        steps = ("fail:Bob@Foo.Baz.com", "fail:foo.baz.com", "fail:.baz.com", "fail")
        for skipped, deciding in enumerate(steps):
            table = dict.fromkeys(steps[skipped:], "MARK")
            found = make(table).find("spf-fail", "bob@foo.baz.com")
            self.assertEqual(str(found), f"[t] {deciding}")
            access = "\n".join(f"spf-{each} MARK" for each in steps[skipped:])
            found = make({}, access).find("spf-fail", "bob@foo.baz.com")
            self.assertEqual(str(found), f"access:1: spf-{deciding.lower()}")

    def test_table_and_map(self) -> None:
        """Of two equally particular entries that of the table decides, else the more particular one."""
        for table, access, deciding in (
            ({"fail": "OK"}, "spf-fail: REJECT", "[t] fail"),
            ({"fail:a.example": "OK"}, "spf-fail:a.example REJECT", "[t] fail:a.example"),
            ({"fail:a.example": "OK"}, "spf-fail:b@a.example REJECT", "access:1: spf-fail:b@a.example"),
            ({"fail": "OK"}, "spf-fail:.example REJECT", "access:1: spf-fail:.example"),
            ({"fail:b@a.example": "OK"}, "spf-fail:a.example REJECT", "[t] fail:b@a.example"),
        ):
            self.assertEqual(str(make(table, access).find("spf-fail", "b@a.example")), deciding)

    def test_a_domain_stands_for_those_below_it(self) -> None:
        """A domain of the table is for those below it too, with a leading dot for those only."""
        for key, domain, is_found in (
            ("fail:example.com", "example.com", True),
            ("fail:example.com", "a.b.example.com", True),
            ("fail:.example.com", "a.example.com", True),
            ("fail:.example.com", "example.com", False),
            ("fail:@example.com", "example.com", True),
            ("fail:example.com", "badexample.com", False),
            ("fail:b@example.com", "example.com", False),
            ("spf-fail:BÜCHER.example", "xn--bcher-kva.example", True),
        ):
            self.assertEqual(make({key: "OK"}).find("spf-fail", f"a@{domain}") is not None, is_found, key)

    def test_own_entry_for_those_below(self) -> None:
        """An entry with a leading dot is not hidden by one for the domain, wherever it stands."""
        for keys in (("fail:a.example", "fail:.a.example"), ("fail:.a.example", "fail:a.example")):
            found = make(dict.fromkeys(keys, "OK")).find("spf-fail", "x@b.a.example")
            self.assertEqual(str(found), "[t] fail:.a.example")

    def test_tags_are_kept_apart(self) -> None:
        """F04: the prefix is put before a tag that lacks it, and tags do not mix."""
        table = make({"helo-fail": "OK", "spf-fail:a.example": "MARK"})
        self.assertEqual(str(table.find("helo-fail", "a.example")), "[t] helo-fail")
        self.assertIsNone(table.find("spf-fail", "b.example"))

    def test_nothing(self) -> None:
        """Where there is nothing, nothing is looked up; the map may come later."""
        current = AccessMap({})
        table = PolicyTable({}, lambda: current)
        self.assertTrue(table.is_empty)
        self.assertIsNone(table.find("spf-fail", ""))
        current = AccessMap.parse("spf-fail: OK", "access")
        self.assertFalse(table.is_empty)
        self.assertIsNotNone(table.find("spf-fail", ""))

    def test_steps(self) -> None:
        """Each key that is looked up is shown with its entry."""
        steps = list(make({"fail": "OK"}).steps("spf-fail", "b@a.example"))
        expected = ["spf-fail:b@a.example", "spf-fail:a.example", "spf-fail:.example", "spf-fail:", "spf-fail"]
        self.assertEqual([key for key, _ in steps], expected)
        self.assertEqual([str(entry) for _, entry in steps], ["None", "None", "None", "[t] fail", "None"])


class WrongTests(SynchronousTestCase):
    """What is no table."""

    def test_wrong_entries(self) -> None:
        """LL-09: each wrong key or word is told by its key."""
        for key, word, wrong in (
            ("fale", "OK", "'fale' names no result; allowed are fail, helo-fail"),
            ("fail:", "OK", "no domain or address"),
            ("fail:.", "OK", "no domain or address"),
            ("fail:a b", "OK", "no domain or address"),
            ("fail:b@", "OK", "no domain or address"),
            ("fail:a b@c.example", "OK", "no domain or address"),
            ("fail", "REJCT", "'fail': 'REJCT' is no policy word"),
        ):
            with self.assertRaisesRegex(ValueError, wrong):
                make({key: word})
