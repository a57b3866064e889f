"""A private Postfix inside the sandbox: nothing of /etc/postfix and /var/spool/postfix is read or written."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from shutil import chown

from tests.integration.auth_servers import serve_dovecot
from tests.integration.sandbox import HOST, HOST6, HOST_NAME, children, end, wait_for_port
from tests.integration.surroundings import Surroundings

MASTER = Path("/usr/lib/postfix/sbin/master")
_OURS = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "saved", "trace", "private")
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
inet_interfaces = all
inet_protocols = all
myhostname = {name}
mydomain = test.invalid
myorigin = test.invalid
mydestination =
mynetworks = 0.0.0.0/0 [::]/0
local_transport = error:5.1.1 no local delivery
local_recipient_maps =
alias_maps =
alias_database =
relayhost = [127.0.0.1]:{sink}
smtp_host_lookup = native
disable_dns_lookups = yes
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificates.server}
smtpd_tls_key_file = {key}
smtpd_tls_CAfile = {certificates.authority}
smtpd_tls_ask_ccert = yes
smtpd_tls_loglevel = 1
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {work}/auth
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
message_size_limit = 52428800
header_size_limit = 1048576
smtp_connection_cache_on_demand = no
biff = no
service_throttle_time = 1s
default_process_limit = 20
enable_long_queue_ids = yes
non_smtpd_milters = $smtpd_milters
{documented}
"""
_SERVICES = """\
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


def lacking() -> str:
    """What is not installed; empty when nothing."""
    return "" if MASTER.exists() else "Postfix is not installed (Debian package postfix)"


class PostfixMta:
    """One running Postfix; roles have ports of their own, each with its own smtpd_milters.

    @param work: an empty directory that user postfix can search.
    """

    runner = "postfix"

    def __init__(self, work: Path, around: Surroundings) -> None:
        """Write the configuration, start, and wait until it answers."""
        self._work = work
        self._held = 0
        conf = work / "conf"
        for directory in (conf, conf / "dynamicmaps.cf.d", conf / "postfix-files.d", work / "queue", work / "data"):
            directory.mkdir(parents=True)
        main = _MAIN_CF.format(
            work=work,
            sbin=MASTER.parent,
            name=HOST_NAME,
            sink=around.sink,
            documented=around.lines.main_cf,
            certificates=around.certificates,
            key=around.certificates.server.with_suffix(".key"),
        )
        (conf / "main.cf").write_text(main)
        (conf / "dynamicmaps.cf").write_text("")  # so that /etc/postfix is never consulted
        (conf / "master.cf").write_text(_smtpd_services(around))
        self._make_queue()
        serve_dovecot(work / "auth")
        log = work / "master.out"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [MASTER, "-c", str(conf), "-d"],
                env={**os.environ, "MAIL_CONFIG": str(conf)},
                stdout=output,
                stderr=output,
                start_new_session=True,  # at its end master signals its process group
            )
        wait_for_port(HOST, around.ports["inbound"], self._process, log)

    def _make_queue(self) -> None:
        """The queue directories with the owners that Postfix wants."""
        for name in (*_OURS, "public", "maildrop", "pid"):
            (self._work / "queue" / name).mkdir()
        for name in _OURS:
            chown(self._work / "queue" / name, "postfix")
            (self._work / "queue" / name).chmod(0o700)
        for name, mode in (("public", 0o2710), ("maildrop", 0o1730)):
            chown(self._work / "queue" / name, "postfix", "postdrop")
            (self._work / "queue" / name).chmod(mode)
        chown(self._work / "data", "postfix")
        (self._work / "maillog").touch()

    def submit(self, sender: str, recipient: str, content: bytes) -> bool:
        """Hand a message to postdrop, as a program of this host does; whether it was taken."""
        done = subprocess.run(
            ["/usr/sbin/sendmail", "-i", "-f", sender, recipient],
            env={**os.environ, "MAIL_CONFIG": str(self._work / "conf")},
            input=content.replace(b"\r\n", b"\n"),
            check=False,
        )
        return done.returncode == 0

    def kill_session(self) -> None:
        """Kill every smtpd as a crash would, and every cleanup, which has the milter connection from DATA on."""
        for pid in children(self._process.pid):
            if Path(f"/proc/{pid}/comm").read_text().strip() in {"smtpd", "cleanup"}:
                os.kill(pid, signal.SIGKILL)

    def holds(self) -> bool:
        """Whether a message came to the hold queue since this was last asked."""
        before, self._held = self._held, len(list((self._work / "queue" / "hold").iterdir()))
        return self._held > before

    def log(self) -> str:
        """What Postfix logged."""
        return (self._work / "maillog").read_text(errors="replace")

    def stop(self) -> None:
        """End it and what it started."""
        end(self._process)


def _smtpd_services(around: Surroundings) -> str:
    """master.cf; the inbound service has the documented line, the others the same with their own port."""
    documented = around.lines.main_cf_value("smtpd_milters")
    services = []
    for role, port in around.ports.items():
        own = "" if role == "inbound" else f"\n  -o smtpd_milters={_with_port(documented, around.milters[role])}"
        services += [f"{host}:{port} inet n - n - - smtpd{own}" for host in (HOST, f"[{HOST6}]")]
    return "\n".join(services) + "\n" + _SERVICES


def _with_port(milter: str, port: int) -> str:
    return f"{milter.rpartition(':')[0]}:{port}"
