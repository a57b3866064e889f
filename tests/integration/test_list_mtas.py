"""docs/mta-dns-lists.md, followed: real MTAs, a real unbound and our lists (V01, V04)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration import postfix_mta, sandbox, sendmail_mta, unbound
from tests.integration.daemon import ROOT

ZONE = "rhsbl.example.net"
SENDMAIL = f"Mail from ded307.com refused by {ZONE}: Throwaway domain ded307.com:see https://example.net/why"
POSTFIX = (
    f"Service unavailable; Sender address [a@ded307.com] blocked using {ZONE}; "
    "Throwaway domain ded307.com: see https://example.net/why"
)
REFUSED = '$# error $@ 5 . 7 . 1 $: "550 5.7.1 '


class ListMtaTests(SynchronousTestCase):
    """The done-when of the lists: the next throwaway domain is refused before any milter runs."""

    told: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Do what the manual says, once for all tests."""
        lacking = sandbox.lacking() or postfix_mta.lacking() or sendmail_mta.lacking() or unbound.lacking()
        lacking = lacking or ("" if shutil.which("dig") else "dig is not installed")
        if lacking:
            sys.stderr.write(f"\n*** the lists are not tried in MTAs: {lacking}\n")
            raise SkipTest(lacking)
        if not self.told:
            directory = Path(tempfile.mkdtemp(prefix="twistedmilter-lists-", dir="/tmp"))
            self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
            directory.chmod(0o755)  # Postfix's own user looks into it
            command = sandbox.inside("tests.integration.list_mtas", str(directory))
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False, stdin=subprocess.DEVNULL
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            self.told.update(json.loads(done.stdout))

    def test_dig(self) -> None:
        """Through unbound a list answers as the manual says: its test entry, and the pattern's code."""
        self.assertEqual(self.told["dig"], {f"test.{ZONE}": ["127.0.0.2"], f"ded307.com.{ZONE}": ["127.0.0.3"]})

    def test_a_throwaway_domain_is_refused_with_its_reason(self) -> None:
        """V01, V04: 550 5.7.1 from both MTAs for ded307.com, whatever its case, with the text of the list."""
        self.assertEqual(self.told["sendmail"]["a@ded307.com"], f"550 5.7.1 <a@ded307.com>... {SENDMAIL}")
        self.assertEqual(self.told["postfix"]["a@ded307.com"], f"550 5.7.1 {POSTFIX}")
        for mta in ("sendmail", "postfix"):
            self.assertRegex(self.told[mta]["a@DED307.COM"], "^550 5.7.1 .*Throwaway domain ded307.com")

    def test_others_pass(self) -> None:
        """example.org, a name that the pattern leaves out, the null reverse-path, and a code that no line names."""
        for mta in ("sendmail", "postfix"):
            for sender in ("a@example.org", "a@ded30.com", "", "a@error.example"):
                self.assertRegex(self.told[mta][sender], "^250 ", f"{mta} {sender}")

    def test_a_listed_client_is_refused(self) -> None:
        """The list of addresses serves FEATURE(enhdnsbl) and reject_rbl_client."""
        refused = "550 5.7.1 192.0.2.66 refused: see https://example.net/why"
        self.assertEqual(self.told["sendmail"]["192.0.2.66"], refused)
        self.assertRegex(
            self.told["postfix"]["192.0.2.66"], r"^550 5.7.1 .*\[192.0.2.66\] blocked .*; sent spam on Monday$"
        )

    def test_qname_minimisation(self) -> None:
        """RFC 9156: a resolver that walks down label by label, with no way back, finds the listings.

        Its capitals are at random, and compared with those of the answer (0x20).
        """
        found = self.told["minimised"]["answers"]
        self.assertEqual(
            found,
            {
                f"ded307.com.{ZONE}": ["127.0.0.3"],
                "66.2.0.192.ipbl.example.net": ["127.0.0.2"],
                f"a.b.example.org.{ZONE}": [],
            },
        )
        asked = self.told["minimised"]["asked"]
        self.assertLessEqual({f"com.{ZONE}", f"ded307.com.{ZONE}", "192.ipbl.example.net"}, set(asked))

    def test_the_host_map_of_older_hacks(self) -> None:
        """6.6: sendmail's own map asks for IPv6 first, and NXDOMAIN would end its search: the listing is found."""
        found, other = self.told["host map"].values()
        self.assertIn(f"returns ded307.com.{ZONE}", found)
        self.assertIn("no match", other)

    def test_the_arguments_of_the_hack(self) -> None:
        """V01: text, temporary failure and codes; the access map comes first; what is not asked about."""
        rules = self.told["rules"]
        for case in ("listed", "own text", "its code", "no access", "access, another user", "two lists", "delayed"):
            self.assertTrue(rules[case].startswith(REFUSED), f"{case}: {rules[case]}")
        self.assertEqual(rules["own text"], f'{REFUSED}No, " ded307 . com ", no"')
        for case in ("other code", "access, user", "access, domain", "silent", "one label", "literal", "null"):
            self.assertNotIn("error", rules[case], case)
        self.assertTrue(rules["silent, t"].startswith('$# error $@ 4 . 7 . 1 $: "451 4.7.1 No answer from silent'))
        self.assertEqual(rules["silent, text"], '$# error $@ 4 . 7 . 1 $: "451 4.7.1 later, please"')
