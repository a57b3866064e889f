"""A real sendmail on loopback that forwards mail with the shipped hack."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shutil import copy

from tests.integration import sendmail_mta
from tests.integration.forwarding import DOCUMENTED_SOCKET, documented
from tests.integration.receiving_sendmail import LOOPBACK
from tests.integration.sandbox import children, end, wait_for_port

HACK = Path(__file__).parents[2] / "twistedmilter" / "data" / "srs.m4"
EXEMPT_HOP = "127.0.0.2"
# without a dot in the host's name sendmail sleeps for a minute and looks again
_NAMED = ("unshare", "--uts", "--", "sh", "-c", 'hostname mail.fwd.example && exec "$0" "$@"')
_MC = """\
divert(-1)
define(`_CF_DIR_', `{cf}/')dnl
divert(0)dnl
include(`{cf}/m4/cf.m4')dnl
VERSIONID(`forwarder')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mail.fwd.example')dnl
define(`confSERVICE_SWITCH_FILE', `{work}/service.switch')dnl
define(`confCW_FILE', `-o {work}/local-host-names')dnl
define(`ALIAS_FILE', `')dnl
define(`QUEUE_DIR', `{work}/mqueue')dnl
define(`STATUS_FILE', `{work}/statistics')dnl
define(`confPID_FILE', `{work}/sendmail.pid')dnl
define(`confDONT_PROBE_INTERFACES', `true')dnl
define(`confTO_IDENT', `0')dnl
define(`confREFUSE_LA', `0')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confDELAY_LA', `0')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {sink}')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {sink}')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`use_cw_file')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
DAEMON_OPTIONS(`Family=inet, Name=forwarder, Addr=127.0.0.1, Port={port}')dnl
LOCAL_RULE_0
Rbob <@ fwd.example . >\t$: bob <@ dest.example . >
Ramy <@ fwd.example . >\t$#srsexempt $@ [127.0.0.2] $: amy <@ dest.example . >
MAILER(`local')dnl
MAILER(`smtp')dnl
{before}{documented}
"""


class ForwardingSendmail:
    """One running sendmail: bob of fwd.example is forwarded, amy too, by a next hop that gets the original sender."""

    def __init__(self, work: Path, port: int, sink: int, socket: Path, before: str = "") -> None:
        """Write the configuration, start, and wait until it answers.

        @param work: a directory that is not there yet, below none that everybody may write to.
        @param sink: the port of L{LOOPBACK} and of L{EXEMPT_HOP} that it delivers to.
        @param socket: where our service listens. @param before: lines that stand before the hack.
        """
        self._work = work
        (work / "mqueue").mkdir(parents=True, mode=0o700)
        (work / "statistics").touch()
        (work / "service.switch").write_text("hosts files\naliases files\n")
        (work / "local-host-names").write_text("fwd.example\n")
        self._write_cf(port, sink, socket, before)
        log = work / "sendmail.out"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*_NAMED, sendmail_mta.ROOT / "usr/libexec/sendmail/sendmail", "-C", str(work / "test.cf"), "-bD"],
                env={**os.environ, "LD_LIBRARY_PATH": sendmail_mta.libraries()},
                stdout=output,
                stderr=output,
            )
        try:
            wait_for_port(LOOPBACK, port, self._process, log)
        except RuntimeError:
            self.stop()
            raise

    def _write_cf(self, port: int, sink: int, socket: Path, before: str) -> None:
        """The documented lines, with the hack where sendmail looks for it."""
        cf = self._work / "cf"
        subprocess.run(["cp", "-r", str(sendmail_mta.ROOT / "usr/share/sendmail/cf"), str(cf)], check=True)
        copy(HACK, cf / "hack")
        lines = documented("sendmail.mc").replace(DOCUMENTED_SOCKET, str(socket))
        text = _MC.format(cf=cf, work=self._work, port=port, sink=sink, before=before, documented=lines)
        (self._work / "test.mc").write_text(text)
        with (self._work / "test.cf").open("wb") as output:
            subprocess.run(["m4", str(self._work / "test.mc")], stdout=output, check=True)

    def queued(self) -> int:
        """How many messages wait."""
        return len(list((self._work / "mqueue").glob("qf*")))

    def stop(self) -> None:
        """End it and its sessions."""
        for pid in children(self._process.pid):
            os.kill(pid, 15)
        end(self._process)
