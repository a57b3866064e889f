"""Tests of L{twistedmilter.list_commands}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.control import CommandError
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.callbacks import CallbackResult
from twistedmilter.interfaces.stores import CallbackAnswer, GreylistTimes, SenderEntry
from twistedmilter.list_commands import LISTS, PAGE, ListCommands
from twistedmilter.store.memory import MemoryStores

NOW = 1_795_525_511.5


class ListCommandsTests(SynchronousTestCase):
    """On stores in memory."""

    def setUp(self) -> None:
        """Empty stores."""
        self.stores = MemoryStores()
        self.commands: Any = ListCommands(self.stores, lambda: NOW).commands

    def ask(self, command: str, **arguments: object) -> Any:
        """What a command answers."""
        return self.successResultOf(Deferred.fromCoroutine(self.commands[command](arguments)))

    def refusal(self, command: str, **arguments: object) -> str:
        """Why a command is not served."""
        asked = Deferred.fromCoroutine(self.commands[command](arguments))
        return str(self.failureResultOf(asked, CommandError).value)

    def test_add_show_remove(self) -> None:
        """An entry is shown until it is taken out, in its own list."""
        entry = {"name": "a@b.example", "comment": "why", "stored": NOW, "expires": NOW + 60}
        added = self.ask("list-add", list="whitelist", name="A@b.example", comment="why", expires=NOW + 60)
        self.assertEqual(added, entry)
        self.assertEqual(self.ask("list-show", list="whitelist"), [entry])
        self.assertEqual(self.ask("list-show", list="blacklist"), [])
        self.assertTrue(self.ask("list-remove", list="whitelist", name="a@B.example"))
        self.assertFalse(self.ask("list-remove", list="whitelist", name="a@b.example"))

    def test_a_long_list_is_shown_in_pages(self) -> None:
        """No answer takes long, however many entries there are."""
        names = [f"user{number:04}@b.example" for number in range(2 * PAGE + 1)]
        for name in names:
            self.stores.whitelist.add(SenderEntry(name, "", NOW))
        shown: list[str] = []
        for size in (PAGE, PAGE, 1, 0):
            page = self.ask("list-show", list="whitelist", after=shown[-1] if shown else None)
            self.assertEqual(len(page), size)
            shown += [entry["name"] for entry in page]
        self.assertEqual(shown, names)

    def test_a_person_may_end_a_permanent_entry(self) -> None:
        """What mail that goes out may not (I10)."""
        self.ask("list-add", list="whitelist", name="a@b.example")
        self.ask("list-add", list="whitelist", name="a@b.example", expires=NOW + 60)
        self.assertEqual(self.ask("list-show", list="whitelist")[0]["expires"], NOW + 60)

    def test_remove_in_another_spelling(self) -> None:
        """A name is taken out however it is written, and so is one that could not be entered today."""
        self.ask("list-add", list="blacklist", name="m\u00fcnchen.example")
        self.assertTrue(self.ask("list-remove", list="blacklist", name="M\u00fcnchen.example."))
        self.successResultOf(self.stores.blacklist.add(SenderEntry("*", "", NOW, None)))
        self.assertTrue(self.ask("list-remove", list="blacklist", name="*"))

    def test_every_list(self) -> None:
        """All four can be asked for."""
        self.assertEqual([self.ask("list-show", list=name) for name in LISTS], [[], [], [], []])

    def test_names(self) -> None:
        """Addresses, domains, wildcards; IP addresses in one spelling where clients are listed."""
        for which, name, kept in (
            ("blacklist", "*.B.example", "*.b.example"),
            ("blacklist", "b.example", "b.example"),
            ("blacklist", "B.example.", "b.example"),
            ("blacklist", "*.M\u00fcnchen.example", "*.xn--mnchen-3ya.example"),
            ("whitelist", "A@M\u00fcnchen.example", "a@xn--mnchen-3ya.example"),
            ("whitelist", "a@[192.0.2.1]", "a@[192.0.2.1]"),
            ("bans", "2001:DB8:0::1", "2001:db8::1"),
            ("bans", "::ffff:192.0.2.1", "192.0.2.1"),
            ("bans", "2001:DB8::/64", "2001:db8::/64"),
            ("never_banned", "192.0.2.0/24", "192.0.2.0/24"),
        ):
            self.assertEqual(self.ask("list-add", list=which, name=name)["name"], kept)

    def test_refusals(self) -> None:
        """Each says what is wrong."""
        for which, name in (
            ("whitelist", ""),
            ("whitelist", "a b@c.example"),
            ("whitelist", "a\n@c.example"),
            ("whitelist", "@c.example"),
            ("whitelist", "a@"),
            ("whitelist", "x" * 321),
            *(
                ("blacklist", name)
                for name in ("*", "*.", "<>", "a@*.example", "b.*.example", "b..example", ".example")
            ),
        ):
            self.assertIn("neither an address nor a domain", self.refusal("list-add", list=which, name=name))
        for name in ("b.example", "192.0.2.0/24", "2001:db8::1/64", "2001:db8::/48"):
            self.assertIn("not an IP address", self.refusal("list-add", list="bans", name=name))
        self.assertIn("known are whitelist", self.refusal("list-show", list="sender; DROP"))
        self.assertIn("expired already", self.refusal("list-add", list="bans", name="192.0.2.1", expires=NOW))
        self.assertIn("wrong arguments", self.refusal("list-add", list="bans", name=1))
        self.assertIn("wrong arguments", self.refusal("list-show", list="bans", more=1))

    def test_import(self) -> None:
        """Each part goes where it belongs, and is counted."""
        answer = {"address": "a@b.example", "result": "valid", "reply": "", "stored": NOW, "expires": NOW + 60}
        entry = {"name": "c@d.example", "comment": "", "stored": NOW, "expires": None}
        row = {"key": "192.0.2.0/24 s r", "first_seen": NOW, "last_seen": NOW}
        count = self.ask(
            "list-import", answers=[answer], senders={"whitelist": [entry]}, greylist=[{**row, "accepted": 2}]
        )
        self.assertEqual(count, 3)
        found = self.successResultOf(self.stores.callbacks.find("a@b.example", NOW))
        self.assertEqual(found, CallbackAnswer("a@b.example", CallbackResult.VALID, "", NOW, NOW + 60))
        self.assertEqual(self.ask("list-show", list="whitelist"), [entry])
        times = GreylistTimes(120, 3_600, 86_400)
        again = self.successResultOf(self.stores.greylist.contact("192.0.2.0/24 s r", NOW + 1, times))
        self.assertEqual((again.tries, again.accepted), (4, 3))
        self.assertIn("no list", self.refusal("list-import", senders={"x": []}))

    def test_a_closed_store(self) -> None:
        """That is told, not counted."""
        self.stores.close()
        entry = {"name": "c@d.example", "comment": "", "stored": NOW, "expires": None}
        asked = Deferred.fromCoroutine(self.commands["list-import"]({"senders": {"whitelist": [entry]}}))
        self.failureResultOf(asked, TemporaryFailure)
