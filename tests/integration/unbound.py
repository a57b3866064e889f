"""A private unbound inside the sandbox: the resolver between an MTA and the lists."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.integration.sandbox import end, wait_for_port

_BASE = """\
server:
    interface: 127.0.0.1@{port}
    verbosity: {verbosity}
    access-control: 127.0.0.0/8 allow
    directory: "{work}"
    chroot: ""
    username: ""
    pidfile: ""
    logfile: ""
    use-syslog: no
    do-daemonize: no
    do-ip6: no
    num-threads: 1

{documented}
{rest}
"""
_REST = """\
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{names}
"""


def lacking() -> str:
    """What is not installed; empty when nothing."""
    return "" if shutil.which("unbound", path="/usr/sbin:/usr/bin:/usr/local/sbin") else "unbound is not installed"


class Unbound:
    """One running unbound on 127.0.0.1."""

    def __init__(self, work: Path, documented: str, names: int, port: int = 53, verbosity: int = 1) -> None:
        """Write the configuration, start, and wait until it answers.

        @param work: a directory that is not there yet. @param documented: what the manual says is to be added.
        @param names: the port of the name server that knows everything else.
        @param verbosity: from 3 on the log has the questions that it asks.
        """
        work.mkdir()
        config = work / "unbound.conf"
        rest = _REST.format(names=names)
        config.write_text(_BASE.format(work=work, port=port, verbosity=verbosity, documented=documented, rest=rest))
        self._log = work / "unbound.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                ["/usr/sbin/unbound", "-d", "-p", "-c", str(config)], stdout=output, stderr=output
            )
        wait_for_port("127.0.0.1", port, self._process, self._log)

    def log(self) -> str:
        """What it logged."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End it."""
        end(self._process)
