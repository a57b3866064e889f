"""A real sendmail on loopback that is asked about mailboxes; it never gets as far as mail."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.integration import sendmail_mta
from tests.integration.sandbox import children, end, wait_for_port

LOOPBACK = "127.0.0.1"
# without a dot in the host's name sendmail sleeps for a minute and looks again
_NAMED = ("unshare", "--uts", "--", "sh", "-c", 'hostname mail.example.com && exec "$0" "$@"')
_MC = """\
divert(-1)
define(`_CF_DIR_', `{cf}/')dnl
divert(0)dnl
include(`{cf}/m4/cf.m4')dnl
VERSIONID(`exchanger')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mail.example.com')dnl
define(`confSERVICE_SWITCH_FILE', `{work}/service.switch')dnl
define(`confCW_FILE', `-o {work}/local-host-names')dnl
define(`ALIAS_FILE', `')dnl
define(`QUEUE_DIR', `{work}/mqueue')dnl
define(`STATUS_FILE', `{work}/statistics')dnl
define(`confPID_FILE', `{work}/sendmail.pid')dnl
define(`confDONT_PROBE_INTERFACES', `true')dnl
define(`confTO_IDENT', `0')dnl
define(`confREFUSE_LA', `0')dnl
define(`confDELAY_LA', `0')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
RELAY_DOMAIN(`example.com')dnl
DAEMON_OPTIONS(`Family=inet, Name=exchanger, Addr=127.0.0.1, Port={port}')dnl
MAILER(`smtp')dnl
LOCAL_RULESETS
SLocal_check_rcpt
R$* nobody $*\t$#error $@ 5.1.1 $: "550 5.1.1 no such user here"
R$* later $*\t$#error $@ 4.7.1 $: "451 4.7.1 greylisted"
"""


def lacking() -> str:
    """What this machine lacks; empty when it lacks nothing."""
    if problem := sendmail_mta.lacking():
        return problem
    return "" if os.geteuid() == 0 else "sendmail is started by root only"


class ReceivingSendmail:
    """One running sendmail; nothing of /etc/mail is read."""

    def __init__(self, work: Path, port: int) -> None:
        """Write the configuration, start, and wait until it answers.

        @param work: a directory that is not there yet.
        """
        (work / "mqueue").mkdir(parents=True, mode=0o700)
        (work / "statistics").touch()
        (work / "service.switch").write_text("hosts files\naliases files\n")
        (work / "local-host-names").write_text("")
        root = sendmail_mta.ROOT
        (work / "test.mc").write_text(_MC.format(cf=root / "usr/share/sendmail/cf", work=work, port=port))
        with (work / "test.cf").open("wb") as cf:
            subprocess.run(["m4", str(work / "test.mc")], stdout=cf, check=True)
        log = work / "sendmail.out"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*_NAMED, root / "usr/libexec/sendmail/sendmail", "-C", str(work / "test.cf"), "-bD"],
                env={**os.environ, "LD_LIBRARY_PATH": sendmail_mta.libraries()},
                stdout=output,
                stderr=output,
            )
        try:
            wait_for_port(LOOPBACK, port, self._process, log)
        except RuntimeError:
            self.stop()
            raise

    def stop(self) -> None:
        """End it and its sessions."""
        for pid in children(self._process.pid):
            os.kill(pid, 15)
        end(self._process)
