"""A private Postfix inside the sandbox, with the lines that README shows."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.integration.auth_servers import serve_dovecot
from tests.integration.private_postfix import PrivatePostfix, lacking
from tests.integration.sandbox import HOST, HOST6, HOST_NAME, children
from tests.integration.surroundings import Surroundings

_MAIN_CF = """\
inet_interfaces = all
inet_protocols = all
myhostname = {name}
mydomain = test.invalid
myorigin = test.invalid
mynetworks = 0.0.0.0/0 [::]/0
local_transport = error:5.1.1 no local delivery
smtp_host_lookup = native
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
service_throttle_time = 1s
default_process_limit = 20
enable_long_queue_ids = yes
non_smtpd_milters = $smtpd_milters
{documented}
"""
_SERVICES = """\
pickup    unix  n - n 60 1 pickup
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxywrite unix - - n - 1 proxymap
showq     unix  n - n - - showq
discard   unix  - - n - - discard
"""

__all__ = ("PostfixMta", "lacking")


class PostfixMta(PrivatePostfix):
    """One running Postfix; roles have ports of their own, each with its own smtpd_milters.

    @param work: an empty directory that user postfix can search.
    """

    runner = "postfix"

    def __init__(self, work: Path, around: Surroundings) -> None:
        """Write the configuration, start, and wait until it answers."""
        self._held = 0
        main_cf = _MAIN_CF.format(
            work=work,
            name=HOST_NAME,
            documented=around.lines.main_cf,
            certificates=around.certificates,
            key=around.certificates.server.with_suffix(".key"),
        )
        super().__init__(work, around.sink, main_cf, _smtpd_services(around))
        serve_dovecot(work / "auth")
        self.start(HOST, around.ports["inbound"])

    def submit(self, sender: str, recipient: str, content: bytes) -> bool:
        """Hand a message to postdrop, as a program of this host does; whether it was taken."""
        done = subprocess.run(
            ["/usr/sbin/sendmail", "-i", "-f", sender, recipient],
            env=self.environment,
            input=content.replace(b"\r\n", b"\n"),
            check=False,
        )
        return done.returncode == 0

    def kill_session(self) -> None:
        """Kill every smtpd as a crash would, and every cleanup, which has the milter connection from DATA on."""
        for pid in children(self.process.pid):
            if Path(f"/proc/{pid}/comm").read_text().strip() in {"smtpd", "cleanup"}:
                os.kill(pid, signal.SIGKILL)

    def holds(self) -> bool:
        """Whether a message came to the hold queue since this was last asked."""
        before, self._held = self._held, len(list((self._work / "queue" / "hold").iterdir()))
        return self._held > before


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
