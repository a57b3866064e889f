"""From settings and files to what signs."""

from __future__ import annotations

from pathlib import Path

from msgspec import convert
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import ConfigError
from twistedmilter.model.settings import Settings
from twistedmilter.signers import Signers, make_signers
from twistedmilter.signing.addresses import Unsignable
from twistedmilter.signing.rewriting import Rewriter

NOW = 1_700_000_000.0
SECRET = "correct horse battery\n"


class SignersTests(SynchronousTestCase):
    """What is configured, and has its secret, works."""

    def setUp(self) -> None:
        """A directory for configuration and state."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.write("srs.secret", SECRET)

    def write(self, name: str, text: str, mode: int = 0o600) -> None:
        """A file of the configuration."""
        (self.directory / name).write_text(text)
        (self.directory / name).chmod(mode)

    def make(self, **sections: object) -> Signers:
        """The signers of these sections."""
        sections.setdefault("srs", {"secret_file": "srs.secret", "forward_domain": "fwd.example"})
        return make_signers(convert(sections, Settings), self.directory, self.directory)

    def rewriter(self, **sections: object) -> Rewriter:
        """That of signers with all their secrets."""
        signers = self.make(**sections)
        self.assertEqual(signers.missing, ())
        assert signers.rewriter is not None
        return signers.rewriter

    def test_nothing_configured(self) -> None:
        """Without domains there is nothing to sign, and no file is missed."""
        self.assertEqual(make_signers(Settings(), self.directory, self.directory), Signers(None))

    def test_forward(self) -> None:
        """A forward domain and a secret are enough; domains of our own stay."""
        rewriter = self.rewriter(networks={"internal_domains": ["own.example", ".own.example"]})
        sent = rewriter.outgoing("bob@other.example", NOW)
        self.assertTrue(sent.endswith("=other.example=bob@fwd.example"))
        self.assertEqual(rewriter.incoming(sent, NOW).address, "bob@other.example")
        for sender in ("a@own.example", "a@Sub.own.example", "a@fwd.example"):
            self.assertRaises(Unsignable, rewriter.outgoing, sender, NOW)

    def test_every_way(self) -> None:
        """SES with the secret of SRS and BATV with its own; numbers are in the state directory."""
        self.write("batv.secret", "staple correct horse\n")
        rewriter = self.rewriter(
            ses={"domains": ["ses.example"], "fixed": {"News@ses.example": 7}},
            batv={"domains": ["batv.example"], "key_files": {"3": "batv.secret"}, "signing_key": 3},
        )
        for sender, tag in (("a@ses.example", "SES="), ("b@batv.example", "prvs=3"), ("news@ses.example", "SES=")):
            sent = rewriter.outgoing(sender, NOW)
            self.assertTrue(sent.startswith(tag))
            self.assertEqual(rewriter.incoming(sent, NOW).address, sender)
        self.assertTrue((self.directory / "ses.numbers").exists())
        self.assertEqual(rewriter.outgoing("news@ses.example", NOW), rewriter.outgoing("news@ses.example", NOW + 1e8))

    def test_legacy_until(self) -> None:
        """The legacy form is believed to the end of the day that is configured, which is in 2023."""
        legacy = {"secret_file": "srs.secret", "forward_domain": "fwd.example", "hash": "legacy"}
        sent = self.rewriter(srs=legacy).outgoing("bob@other.example", NOW)
        for day, is_good in (("2023-11-14", True), ("2023-11-13", False), ("", False)):
            section = {"secret_file": "srs.secret", "forward_domain": "fwd.example", "legacy_until": day}
            srs = self.rewriter(srs=section).srs
            assert srs is not None
            self.assertEqual(srs.srs.hash.legacy_until > NOW, is_good)
            if is_good:
                self.assertEqual(srs.srs.reverse(sent, NOW).address, "bob@other.example")

    def test_no_secret(self) -> None:
        """S4, issue 6: without a secret it is off, and says which is missing and how to make one."""
        for sections in (
            {"srs": {"secret_file": "none", "forward_domain": "fwd.example"}},
            {"srs": {"secret_file": "none"}, "ses": {"domains": ["a.example"]}},
            {"batv": {"domains": ["a.example"], "key_files": {"0": "none"}}, "srs": {}},
        ):
            signers = self.make(**sections)
            self.assertIsNone(signers.rewriter)
            [missing] = signers.missing
            self.assertIn("twistedmilter secret new", missing)

    def test_bad_secret(self) -> None:
        """Case 28: a secret that others can read, or can guess, is an error that names the key."""
        self.write("open.secret", SECRET, 0o644)
        self.write("short.secret", "shhhh!\n")
        for name, words in (("open.secret", "0644"), ("short.secret", "line 1")):
            section = {"secret_file": name, "forward_domain": "fwd.example"}
            [problem] = self.assertRaises(ConfigError, self.make, srs=section).problems
            self.assertEqual(problem.where, "srs.secret_file")
            self.assertIn(words, problem.wrong)
