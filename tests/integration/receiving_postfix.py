"""A real Postfix on loopback that takes mail for some mailboxes of one domain and hands it to a sink."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shutil import chown

from tests.integration.postfix_mta import MASTER
from tests.integration.sandbox import end, wait_for_port

LOOPBACK = "127.0.0.1"
_MAIN_CF = """\
compatibility_level = 3.6
config_directory = {work}/conf
queue_directory = {work}/queue
data_directory = {work}/data
daemon_directory = {sbin}
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {work}/maillog
maillog_file_prefixes = {work}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.com
mydestination =
mynetworks =
local_recipient_maps =
alias_maps =
alias_database =
relay_domains = example.com
relay_recipient_maps = inline:{{ bob@example.com=ok, later@example.com=ok, postmaster@example.com=ok }}
relayhost = [127.0.0.1]:{sink}
disable_dns_lookups = yes
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ later@example.com = 450 4.7.1 greylisted }} }}
smtpd_tls_security_level = none
unknown_relay_recipient_reject_code = 550
biff = no
"""
_MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
error     unix  - - n - - error
retry     unix  - - n - - error
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""
_OURS = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "saved", "trace", "private")


def lacking() -> str:
    """What this machine lacks; empty when it lacks nothing."""
    if not MASTER.exists():
        return "Postfix is not installed (Debian package postfix)"
    return "" if os.geteuid() == 0 else "Postfix is started by root only"


class ReceivingPostfix:
    """One running Postfix; nothing of /etc/postfix and /var/spool/postfix is read or written."""

    def __init__(self, work: Path, port: int, sink: int, more: str = "") -> None:
        """Write the configuration, start, and wait until it answers.

        @param work: an empty directory that user postfix can search.
        @param port: where it listens. @param sink: the port that it delivers to.
        @param more: lines of main.cf that go over ours.
        """
        self._work = work
        conf = work / "conf"
        for directory in (conf, conf / "dynamicmaps.cf.d", conf / "postfix-files.d", work / "queue", work / "data"):
            directory.mkdir(parents=True)
        (conf / "main.cf").write_text(_MAIN_CF.format(work=work, sbin=MASTER.parent, sink=sink) + more)
        (conf / "dynamicmaps.cf").write_text("")  # so that /etc/postfix is never consulted
        (conf / "master.cf").write_text(_MASTER_CF.format(port=port))
        self._make_queue()
        log = work / "master.out"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [MASTER, "-c", str(conf), "-d"],
                env={**os.environ, "MAIL_CONFIG": str(conf)},
                stdout=output,
                stderr=output,
                start_new_session=True,  # at its end master signals its process group
            )
        try:
            wait_for_port(LOOPBACK, port, self._process, log)
        except RuntimeError:
            self.stop()
            raise

    def _make_queue(self) -> None:
        queue = self._work / "queue"
        for name in (*_OURS, "public", "maildrop", "pid"):
            (queue / name).mkdir()
        for name in _OURS:
            chown(queue / name, "postfix")
            (queue / name).chmod(0o700)
        for name, mode in (("public", 0o2710), ("maildrop", 0o1730)):
            chown(queue / name, "postfix", "postdrop")
            (queue / name).chmod(mode)
        chown(self._work / "data", "postfix")
        (self._work / "maillog").touch()

    def log(self) -> str:
        """What Postfix logged."""
        return (self._work / "maillog").read_text(errors="replace")

    def stop(self) -> None:
        """End it and what it started."""
        end(self._process)
