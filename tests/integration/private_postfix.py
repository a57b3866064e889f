"""What every Postfix of the tests has in common: nothing of /etc/postfix and /var/spool/postfix is read or written."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from shutil import chown

from tests.integration.sandbox import end, wait_for_port

MASTER = Path("/usr/lib/postfix/sbin/master")
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
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
relayhost = [127.0.0.1]:{sink}
disable_dns_lookups = yes
biff = no
"""
_SERVICES = """\
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
    """What is not installed; empty when nothing."""
    return "" if MASTER.exists() else "Postfix is not installed (Debian package postfix)"


def said_once(main_cf: str) -> str:
    """The lines of main.cf that count: the last for each parameter.

    Every process warns of a line that another overrides.  When all start at once, the warnings fill the socket of
    postlogd; it warns as well, and then waits for itself for ever.
    """
    lines: dict[str, str] = {}
    for line in re.split(r"\n(?=\S)", main_cf.strip()):  # a line that begins with a blank goes on
        name = line.partition("=")[0].strip()
        lines.pop(name, None)
        lines[name] = line.rstrip()
    return "\n".join(lines.values()) + "\n"


class PrivatePostfix:
    """One Postfix in a directory of its own.

    @param work: an empty directory that user postfix can search.
    """

    def __init__(self, work: Path, sink: int, main_cf: str, services: str) -> None:
        """Write the configuration; nothing is started.

        @param sink: the port of loopback that it delivers to.
        @param main_cf: lines that go over those of all. @param services: lines of master.cf besides those of all.
        """
        self._work = work
        self._conf = conf = work / "conf"
        for directory in (conf, conf / "dynamicmaps.cf.d", conf / "postfix-files.d", work / "queue", work / "data"):
            directory.mkdir(parents=True)
        (conf / "main.cf").write_text(said_once(_MAIN_CF.format(work=work, sbin=MASTER.parent, sink=sink) + main_cf))
        (conf / "dynamicmaps.cf").write_text("")  # so that /etc/postfix is never consulted
        (conf / "master.cf").write_text(services + _SERVICES)
        self._make_queue()

    def _make_queue(self) -> None:
        """The queue directories with the owners that Postfix wants."""
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

    @property
    def environment(self) -> dict[str, str]:
        """That of its programs."""
        return {**os.environ, "MAIL_CONFIG": str(self._conf)}

    def start(self, host: str, port: int) -> None:
        """Start it, and wait until it answers there.

        @raise RuntimeError: it does not; it is ended.
        """
        log = self._work / "master.out"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [MASTER, "-c", str(self._conf), "-d"],
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,  # at its end master signals its process group
            )
        try:
            wait_for_port(host, port, self.process, log)
        except RuntimeError:
            self.stop()
            raise

    def log(self) -> str:
        """What Postfix logged."""
        return (self._work / "maillog").read_text(errors="replace")

    def stop(self) -> None:
        """End it and what it started."""
        end(self.process)
