"""Tests of the SPF check beyond the RFC (E05 to E12, E14, E18, E25, E27; 3.5 and 3.6), over a real evaluation."""

from __future__ import annotations

from msgspec import convert
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeResolver, make_connection, make_transaction
from twistedmilter.model.check_settings import SPFSettings
from twistedmilter.model.modification import InsertHeader
from twistedmilter.model.verdict import Refuse, TempFail, Verdict
from twistedmilter.policy.acting import Means
from twistedmilter.policy.checks.spf import SPFCheck
from twistedmilter.policy.dynamic_ptr import load_patterns
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.spf_driver import SPFEvaluator

ZONE = """guess.ex A 192.0.2.77
name.ex A 198.51.100.1
lax.ex TXT "v=spf1 ip:192.0.2.5 -all"
laxfail.ex TXT "v=spf1 ip:192.0.2.9 -all"
permerror.ex TXT "v=spf1 ip4:192.0.2.300 -all"
hpass.ex TXT "v=spf1 ip4:192.0.2.5 -all"
hguess.ex A 192.0.2.5
hfail.ex TXT "v=spf1 -all"
fail.ex TXT "v=spf1 -all"
softfail.ex TXT "v=spf1 ~all"
neutral.ex TXT "v=spf1 ?all"
mayfail.ex TXT "v=spf1 ?a:broken.ex -all"
maypass.ex TXT "v=spf1 a:broken.ex -all"
broken.ex ANY SERVFAIL
none.ex._spf.trust.ex TXT "v=spf1 -all"
macro.ex TXT "v=spf1 exists:%{i}.hosts.ex -all"
192.0.2.5.hosts.ex A 127.0.0.2
a-mx.ex MX 10 hguess.ex
5.2.0.192.in-addr.arpa PTR mail.name.ex
mail.name.ex A 192.0.2.5
"""
DYN, OKP = "[192.0.2.5]", "mail.name.ex"


class BeyondTestCase(SynchronousTestCase):
    """The check with a section of its own."""

    def ask(self, sender: str, helo: str = "hnone.ex", ptr: str = OKP, **settings: object) -> str:
        """The verdict: C{go}, C{go TEMPLATE...} or the reply with the reason code; the transaction is kept."""
        section = convert(settings, SPFSettings)
        self.now = 0.0
        self.resolver = FakeResolver(ZONE)
        evaluator = SPFEvaluator(self.resolver, lambda: self.now)
        self.check = SPFCheck(
            section,
            evaluator,
            NetworkSet.parse([]),
            lambda: self.now,
            means=Means(True, True),
            patterns=load_patterns(),
        )
        return self.again(sender, helo, ptr)

    def again(self, sender: str, helo: str = "hnone.ex", ptr: str = OKP) -> str:
        """The same check once more."""
        path = f"<bob@{sender}>" if sender else "<>"
        self.transaction = make_transaction(path, make_connection("192.0.2.5", name=ptr, helo=helo))
        return self.shown(self.successResultOf(Deferred.fromCoroutine(self.check.check_mail(self.transaction))))

    def shown(self, verdict: Verdict | None) -> str:
        """A verdict with what it left behind."""
        self.text = verdict.reason.text if verdict is not None else ""
        if isinstance(verdict, (Refuse, TempFail)):
            return f"{verdict.code} {verdict.status} {verdict.reason.code}"
        if verdict is not None:
            return f"{verdict.word} {verdict.reason.code}"
        return " ".join(["go", *[each.template or "callback" for each in self.transaction.inquiries]])

    def assertOfficial(self, word: str) -> None:
        """Received-SPF and the first authentication result have this word alone."""
        headers = [each for each in self.transaction.proposals if isinstance(each, InsertHeader)]
        self.assertEqual([(each.name, each.value.split()[0]) for each in headers], [("Received-SPF", word)])
        self.assertEqual(self.transaction.auth_results[0].result, word)

    def noted(self, name: str) -> str:
        """The value of a fact that was recorded, or empty."""
        return next((each.value for each in self.transaction.evidence if each.name == name), "")


class LaxTests(BeyondTestCase):
    """A permerror and what stands behind it (E07, E27)."""

    def test_off(self) -> None:
        """By default a permerror marks, and the text names what was probably meant."""
        self.assertEqual(self.ask("lax.ex"), "mark spf-permerror")
        self.assertIn("ip:192.0.2.5 (probably meant: ip4:192.0.2.5)", self.text)
        self.assertEqual(self.noted("mailfrom_correction"), "ip4:192.0.2.5")

    def test_on(self) -> None:
        """The lax result decides, and says that it is one; the official one stays in the headers."""
        self.assertEqual(self.ask("lax.ex", lax=True), "go")
        self.assertEqual(self.noted("effective"), "pass (lax reading)")
        self.assertOfficial("permerror")
        self.assertEqual(self.ask("laxfail.ex", lax=True), "550 5.7.23 spf-fail")
        self.assertIn("by lax reading, the official result is permerror", self.text)
        self.assertIn("probably meant: ip4:192.0.2.9", self.text)
        self.assertOfficial("permerror")

    def test_beyond_help(self) -> None:
        """A record without a lax result is a permerror."""
        self.assertEqual(self.ask("permerror.ex", lax=True), "mark spf-permerror")

    def test_words(self) -> None:
        """3.5: the word is that of the lax result; E27: a DSN for the permerror comes before that of the result."""
        policy = {"permerror": "REJECT"}
        self.assertEqual(self.ask("lax.ex", lax=True, policy=policy), "go")
        policy = {"permerror": "DSN", "fail": "DSN"}
        self.assertEqual(self.ask("laxfail.ex", lax=True, policy=policy), "go permerror fail")
        self.assertEqual(self.ask("lax.ex", lax=True, policy=policy), "go permerror")


class GuessTests(BeyondTestCase):
    """No record: guesses, local records, and HELO (E09, E10, E12, E14)."""

    def test_guess(self) -> None:
        """E10: a guess that passes is a pass for policy, and called a guess; HELO is then no matter."""
        self.assertEqual(self.ask("guess.ex", "hfail.ex"), "550 5.7.23 spf-helo-fail")
        self.assertEqual(self.ask("guess.ex", "hfail.ex", best_guess=True), "go")
        self.assertEqual(self.noted("effective"), "pass (best guess)")
        self.assertOfficial("none")
        policy = {"pass": "REJECT"}
        self.assertEqual(self.ask("guess.ex", best_guess=True, policy=policy), "550 5.7.23 spf-pass")
        self.assertIn("by best guess, the official result is none", self.text)

    def test_guess_only_helps(self) -> None:
        """A guess that does not pass is not the domain's word: the key for neutral does not hit it."""
        policy = {"neutral": "REJECT", "none": "MARK"}
        self.assertEqual(self.ask("none.ex", best_guess=True, policy=policy), "mark spf-none")

    def test_guess_by_name(self) -> None:
        """E10: the name of the client counts, but not where it looks dynamic."""
        self.assertEqual(self.ask("name.ex", "hfail.ex", best_guess=True), "go")
        self.assertEqual(self.ask("name.ex", "hfail.ex", DYN, best_guess=True), "550 5.7.23 spf-helo-fail")

    def test_helo_vouches(self) -> None:
        """E12: HELO passes for its own domain; E09: a guess does, but not for a name that looks dynamic."""
        policy = {"none": "REJECT"}
        self.assertEqual(self.ask("ex", "hpass.ex", helo_vouches=True, policy=policy), "go")
        self.assertEqual(self.noted("effective"), "pass (HELO name of the domain)")
        self.assertEqual(self.ask("ex", "hpass.ex", policy=policy), "550 5.7.23 spf-none")
        self.assertEqual(self.ask("ex", "hguess.ex", helo_vouches=True, policy=policy), "550 5.7.23 spf-none")
        both: dict[str, object] = {"helo_vouches": True, "helo_best_guess": True, "policy": policy}
        self.assertEqual(self.ask("ex", "hguess.ex", OKP, **both), "go")
        self.assertOfficial("none")
        self.assertEqual(self.ask("ex", "x192-0-2-5.dyn.ex", OKP, **both), "550 5.7.23 spf-none")

    def test_delegate(self) -> None:
        """E14: a local record decides as if it were the domain's own, and says that it is not."""
        self.assertEqual(self.ask("none.ex", delegate="trust.ex"), "550 5.7.23 spf-fail")
        self.assertIn("by local record, the official result is none", self.text)
        self.assertOfficial("none")
        self.assertEqual(self.ask("guess.ex", delegate="trust.ex"), "go")

    def test_null_sender(self) -> None:
        """3.4: <> is judged as its HELO name; nothing is guessed and nobody is asked."""
        for helo, said in (("hpass.ex", "go"), ("hnone.ex", "go"), ("hfail.ex", "550 5.7.23 spf-helo-fail")):
            self.assertEqual(self.ask("", helo, best_guess=True, helo_best_guess=True), said, helo)
        policy = {"softfail": "DSN", "neutral": "CBV", "none": "CBV"}
        for helo, said in (("softfail.ex", "softfail"), ("neutral.ex", "neutral"), ("hnone.ex", "none")):
            self.assertEqual(self.ask("", helo, policy=policy), f"mark spf-helo-{said}", helo)


class ForwarderTests(BeyondTestCase):
    """Trusted forwarders (E05, E06, E24)."""

    def test_passes(self) -> None:
        """E05: from a forwarder's host a fail goes on, the sender is known, and the headers tell the truth."""
        self.assertEqual(self.ask("fail.ex", "hfail.ex", trusted_forwarders=["neutral.ex", "hpass.ex"]), "go")
        self.assertEqual(self.transaction.known_sender, "trusted forwarder hpass.ex")
        self.assertEqual(self.noted("effective"), "pass (trusted forwarder)")
        self.assertOfficial("fail")

    def test_a_check_that_observes_knows_nobody(self) -> None:
        """A forwarder's host is recorded, but spares nobody anything as long as the check only observes."""
        self.ask("fail.ex", trusted_forwarders=["hpass.ex"])
        self.check.means = Means(True, True, counts=False)
        self.assertEqual(self.again("fail.ex"), "go")
        self.assertEqual((self.transaction.known_sender, self.noted("forwarder")), ("", "hpass.ex"))

    def test_others(self) -> None:
        """From other hosts nothing changes, and a pass needs no forwarder."""
        self.assertEqual(self.ask("fail.ex", trusted_forwarders=["neutral.ex"]), "550 5.7.23 spf-fail")
        self.assertEqual(self.transaction.known_sender, "")
        self.assertEqual(self.ask("hpass.ex", trusted_forwarders=["hpass.ex"]), "go")
        self.assertEqual(self.transaction.known_sender, "")

    def test_without_a_set(self) -> None:
        """E24: a record that is no set of addresses is evaluated; E06: without a record C{a mx} is tried."""
        self.assertEqual(self.ask("fail.ex", trusted_forwarders=["macro.ex"]), "go")
        self.assertEqual(self.ask("fail.ex", trusted_forwarders=["a-mx.ex"]), "go")

    def test_compiled_once(self) -> None:
        """E24: the second message asks nothing about the forwarders."""
        self.ask("fail.ex", trusted_forwarders=["neutral.ex", "hpass.ex"])
        asked = len(self.resolver.asked)
        self.assertEqual(self.again("fail.ex"), "go")
        self.assertEqual(len(self.resolver.asked), asked)

    def test_unknown(self) -> None:
        """What may be a forwarder's is deferred and not refused, for the time of a temperror."""
        self.assertEqual(
            self.ask("fail.ex", trusted_forwarders=["broken.ex"], temperror_hours=1),
            "451 4.7.24 spf-forwarder-unknown",
        )
        self.now = 3600.0
        self.assertEqual(self.again("fail.ex"), "550 5.7.23 spf-fail")
        self.assertEqual(self.again("softfail.ex"), "go")

    def test_bad_names(self) -> None:
        """A name that is no domain, and a switch without effect, are errors that name the key."""
        wrong: tuple[tuple[str, object], ...] = (
            ("trusted_forwarders", ["not a name"]),
            ("delegate", "x"),
            ("reject_noptr", True),
        )
        for key, value in wrong:
            error = self.assertRaises(ValueError, self.ask, "fail.ex", "hnone.ex", OKP, **{key: value})
            self.assertIn(f"spf.{key}", str(error))


class TemperrorTests(BeyondTestCase):
    """Temperror (E17, E18, E25)."""

    def test_only_what_could_pass(self) -> None:
        """E25: what cannot pass is judged by the best it can still get."""
        self.assertEqual(self.ask("mayfail.ex"), "451 4.7.24 spf-temperror")
        self.assertEqual(self.ask("mayfail.ex", defer_only_passes=True), "go")
        self.assertEqual(self.noted("effective"), "neutral (best that may still come)")
        self.assertOfficial("temperror")
        self.assertEqual(self.ask("maypass.ex", defer_only_passes=True), "451 4.7.24 spf-temperror")

    def test_words(self) -> None:
        """E18, 3.5: the words of the access map."""
        for word, said in (
            ("OK", "go"),
            ("WHITELIST", "go"),
            ("CBV", "go callback"),
            ("DSN", "go temperror"),
            ("TEMPFAIL", "451 4.7.24 spf-temperror"),
        ):
            self.assertEqual(self.ask("broken.ex", policy={"temperror": word}), said, word)


class WordTests(BeyondTestCase):
    """3.6: every word for every result, as the product has them."""

    def test_table(self) -> None:
        """Callbacks need no HELO pass, and the notification is that of the result."""
        senders = {
            "none": "none.ex",
            "neutral": "neutral.ex",
            "softfail": "softfail.ex",
            "fail": "fail.ex",
            "permerror": "permerror.ex",
            "pass": "hpass.ex",
        }
        templates = {"none": "strike3", "pass": "callback"}
        for result, sender in senders.items():
            number = "24" if result == "permerror" else "23"
            for word, said in (
                ("OK", "go"),
                ("WHITELIST", "go"),
                ("MARK", f"mark spf-{result}"),
                ("HOLD", f"hold spf-{result}"),
                ("CBV", "go callback"),
                ("DSN", f"go {templates.get(result, result)}"),
                ("REJECT", f"550 5.7.{number} spf-{result}"),
                ("BAN", f"550 5.7.{number} spf-{result}"),
                ("TEMPFAIL", f"451 4.7.{number} spf-{result}"),
                ('ERROR:"554 5.1.8 go away"', f"554 5.1.8 spf-{result}"),
            ):
                self.assertEqual(self.ask(sender, policy={result: word}), said, (result, word))

    def test_helo(self) -> None:
        """E20: HELO has words of its own."""
        for word, said in (("OK", "go"), ("DSN", "go heloerror"), ("REJECT", "550 5.7.23 spf-helo-fail")):
            self.assertEqual(self.ask("none.ex", "hfail.ex", policy={"helo-fail": word}), said, word)

    def test_callback_needs_helo(self) -> None:
        """3.6: that a callback needs a HELO pass is a switch, off by default."""
        settings: dict[str, object] = {"cbv_needs_helo_pass": True, "policy": {"softfail": "CBV"}}
        self.assertEqual(self.ask("softfail.ex", "hpass.ex", OKP, **settings), "go callback")
        self.assertEqual(self.ask("softfail.ex", "hnone.ex", OKP, **settings), "550 5.7.23 spf-softfail")
