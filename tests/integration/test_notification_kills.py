"""A service that is killed while it tells senders what is wrong: nobody is told twice (reliability C14)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.receiving_postfix import LOOPBACK
from tests.integration.smtp_sink import SmtpSink
from tests.integration.test_notifications import CONFIG, free_port

ROOT = Path(__file__).resolve().parents[2]
SENDERS = 20
KILLS = (0.0, 0.05, 0.1, 0.15, 0.2)  # seconds after the first message is under way
# Each sender writes once, one after the other; those who were told before are not told again.
LIFE = f"""
import sys, time
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from tests.integration.test_notifications import NotificationTestCase, ZONE
from tests.nameserver import NameServer
from tests.zonetext import Zone
from twistedmilter.configfile import load_settings
from twistedmilter.service import TwistedMilterService

async def live():
    case = NotificationTestCase("send")
    names = NameServer.listening(reactor, Zone.parse(ZONE))
    text = open(sys.argv[1] + ".in").read().replace("DNS", "{{}}:{{}}".format(*names.address))
    open(sys.argv[1], "w").write(text)
    service = TwistedMilterService(load_settings(sys.argv[1]), reactor, time.time, {{}})
    service.startService()
    for number in range({SENDERS}):
        print(number, flush=True)
        await case.send(service, sender=f"<s{{number}}@example.com>")
    await service.stopService()
    print("done", flush=True)

def ended(result):
    print(result, flush=True)
    reactor.stop()

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(live()).addBoth(ended))
reactor.run()
"""


class KillTests(SynchronousTestCase):
    """An exchanger that takes everything, and keeps it."""

    def setUp(self) -> None:
        """A sink, and the configuration of all lives of the service."""
        self.directory = Path(tempfile.mkdtemp(prefix="twistedmilter-"))
        self.addCleanup(shutil.rmtree, self.directory)
        port = free_port()
        self.sink = SmtpSink(LOOPBACK, port)
        self.addCleanup(self.sink.close)
        self.config = self.directory / "twistedmilter.toml"
        Path(f"{self.config}.in").write_text(CONFIG.format(dns="DNS", port=port))

    def live(self, kill_after: float | None = None) -> list[str]:
        """One life of the service, up to its end or a kill; what it said."""
        command = [sys.executable, "-W", "ignore", "-c", LIFE, str(self.config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
            assert process.stdout is not None
            said = [process.stdout.readline().strip()]
            if kill_after is not None:
                time.sleep(kill_after)
                os.kill(process.pid, signal.SIGKILL)
            return said + process.stdout.read().split()

    def test_nobody_is_told_twice(self) -> None:
        """However often it is killed; in each kill at most the one who was being told is left out."""
        for delay in KILLS:
            self.assertEqual(self.live(delay)[0], "0")
        self.assertIn("done", self.live())
        told: Counter[str] = Counter()
        while (message := self.sink.next_message(0.5)) is not None:
            told.update(recipient.partition(" ")[0] for recipient in message.recipients)
        self.assertEqual([who for who, times in told.items() if times > 1], [])
        self.assertGreaterEqual(len(told), SENDERS - len(KILLS))
