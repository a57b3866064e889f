"""README, followed by somebody who knows nothing: service, MTA, forged mail, reply, log line, scan."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration import postfix_mta, sandbox, sendmail_mta
from tests.integration.daemon import ROOT

REFUSAL = re.compile(r"550 5\.7\.23 .*SPF fail for MAIL FROM ceo@example\.com .* from 192\.0\.2\.9: .*\(ref (\w+)\)")


class NewcomerTests(SynchronousTestCase):
    """The done-when of the first release: what README shows is what happens."""

    told: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Do what README says, once for all tests."""
        lacking = sandbox.lacking() or postfix_mta.lacking() or sendmail_mta.lacking()
        lacking = lacking or ("" if shutil.which("swaks") else "swaks is not installed")
        if lacking:
            sys.stderr.write(f"\n*** README is not followed: {lacking}\n")
            raise SkipTest(lacking)
        if not self.told:
            directory = Path(tempfile.mkdtemp(prefix="twistedmilter-newcomer-", dir="/tmp"))
            self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
            directory.chmod(0o755)  # Postfix's own user looks into it
            command = sandbox.inside("tests.integration.newcomer", str(directory))
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.told.update(json.loads(done.stdout))

    def test_a_forged_sender_is_refused_by_both_mtas(self) -> None:
        """The client is shown the refusal with identity, address and reference behind Postfix and behind sendmail."""
        for mta in ("postfix", "sendmail"):
            output = self.told[mta]["output"]
            self.assertIsNotNone(REFUSAL.search(output), output)
            self.assertEqual(self.told[mta]["status"], 24, output)  # swaks: no recipient was accepted

    def test_the_log_says_it_in_one_line_under_the_same_reference(self) -> None:
        """The service's log has the refusal, and the reference of the reply finds its summary."""
        log = self.told["log"]
        refused = [line for line in log.splitlines() if "REJECT: SPF fail" in line]
        self.assertEqual(len(refused), 2, log)  # one for each MTA
        for mta in ("postfix", "sendmail"):
            match = REFUSAL.search(self.told[mta]["output"])
            assert match is not None
            summaries = [line for line in log.splitlines() if f"id={match[1]} " in line]
            self.assertEqual(len(summaries), 1, log)
            self.assertIn("verdict=refuse check=spf reason=spf-fail", summaries[0])
        self.assertNotIn("Traceback", log)

    def test_scan_judges_the_same(self) -> None:
        """The same message in a file gets the same verdict, reason and reply."""
        self.assertEqual(self.told["scan"]["status"], 1)
        self.assertIsNotNone(REFUSAL.search(self.told["scan"]["output"]), self.told["scan"]["output"])
        decision = json.loads(self.told["scan-json"]["output"])["decision"]
        self.assertEqual((decision["verdict"], decision["code"], decision["check"]), ("refuse", "spf-fail", "spf"))

    def test_spf_is_shown_step_by_step(self) -> None:
        """The record that was found and what matched are printed."""
        output = self.told["spf"]["output"]
        self.assertIn('DNS TXT example.com: "v=spf1 -all"', output)
        self.assertIn("result: fail", output)
