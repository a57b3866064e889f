"""Tests of the ancestor's tags for what was found out about a sender (seed-spec 5.2, 5.4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.observe.records import record
from tests.observe.test_classic import ClassicCase
from twistedmilter.model.record import RecipientRecord
from twistedmilter.model.transaction import Evidence
from twistedmilter.observe.classic_evidence import evidence_lines


def lines(*facts: tuple[str, str, str]) -> list[str]:
    """What is told of these facts: check, name, value."""
    return list(evidence_lines(record(evidence=tuple(Evidence(*fact) for fact in facts))))


class EvidenceLinesTests(SynchronousTestCase):
    """Each tag, from what the checks note."""

    def test_known_senders(self) -> None:
        """E16, E21: WHITELIST where a pass makes it believed, PROBATION where there is none."""
        known = ("known_sender", "whitelist", "a@b.example is in the whitelist")
        self.assertEqual(lines(known), ["WHITELIST a@b.example"])
        probation = ("known_sender", "probation", "a@b.example is known, but SPF is none")
        self.assertEqual(lines(known, probation), ["PROBATION a@b.example"])
        unwanted = ("known_sender", "blacklist", "b.example is in the blacklist")
        self.assertEqual(lines(unwanted), ["BLACKLIST a@b.example"])
        machine = ("known_sender", "not_learnt", "Subject: autoreply: x")
        self.assertEqual(lines(machine), ["AUTOREPLY: not whitelisted"])

    def test_greylisting(self) -> None:
        """M03: GREYLISTED with how often it was accepted; one that has to come back by its recipient."""
        self.assertEqual(lines(("greylist", "tries", "3, accepted 1 times: domain b.example")), ["GREYLISTED: 1"])
        waits = Evidence("greylist", "tries", "1, to come back in 120 s: domain b.example")
        recipients = (
            RecipientRecord("x@y.example", "tempfail", "greylisted"),
            RecipientRecord("z@y.example", "continue"),
        )
        told = list(evidence_lines(record(evidence=(waits,), recipients=recipients)))
        self.assertEqual(told, ["GREYLIST: a@b.example x@y.example"])

    def test_callbacks(self) -> None:
        """G15: a callback, and one that was answered by what is remembered."""
        result = ("callback", "result", "<a@b.example>: valid")
        self.assertEqual(lines(result, ("callback", "source", "exchanger")), ["CBV: a@b.example"])
        self.assertEqual(lines(result, ("callback", "source", "cache")), ["CBV: a@b.example (cached)"])

    def test_spf(self) -> None:
        """E05, E11: a trusted forwarder, and a result that is not the official one."""
        facts = (("spf", "forwarder", "fwd.example"), ("spf", "effective", "pass (trusted forwarder)"))
        self.assertEqual(lines(*facts), ["TRUSTED_FORWARDER: fwd.example", "X-Guessed-SPF: pass"])

    def test_others(self) -> None:
        """What the ancestor did not know has no line."""
        self.assertEqual(lines(("spf", "mailfrom", "pass b.example"), ("x", "whitelist", "y")), [])

    @given(
        st.sampled_from(
            ["spf forwarder", "spf effective", "known_sender whitelist", "greylist tries", "callback result"]
        ),
        st.text(max_size=300),
    )
    def test_hostile_text(self, fact: str, value: str) -> None:
        """I8: whatever was noted, a line stays a line."""
        check, name = fact.split()
        for line in lines((check, name, value)):
            self.assertTrue(line.isprintable(), line)


class LogTests(ClassicCase):
    """In the log."""

    def test_place(self) -> None:
        """Between the headers and the final tag, which ends the message for a report tool; not for a test."""
        fact = Evidence("known_sender", "whitelist", "a@b.example is in the whitelist")
        self.log.ended(record(evidence=(fact,)))
        self.assertEqual(self.texts()[:2], ["WHITELIST a@b.example", "eom"])
        self.log.ended(record(evidence=(fact,), is_test=True))
        self.assertEqual(len(self.texts()), 1)
