"""A real Postfix on loopback that takes mail for some mailboxes of one domain and hands it to a sink."""

from __future__ import annotations

import os
from pathlib import Path

from tests.integration import private_postfix
from tests.integration.private_postfix import PrivatePostfix

LOOPBACK = "127.0.0.1"
_MAIN_CF = """\
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.com
mynetworks =
relay_domains = example.com
relay_recipient_maps = inline:{ bob@example.com=ok, later@example.com=ok, postmaster@example.com=ok }
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{ { later@example.com = 450 4.7.1 greylisted } }
smtpd_tls_security_level = none
unknown_relay_recipient_reject_code = 550
"""


def lacking() -> str:
    """What this machine lacks; empty when it lacks nothing."""
    return private_postfix.lacking() or ("" if os.geteuid() == 0 else "Postfix is started by root only")


class ReceivingPostfix(PrivatePostfix):
    """One running Postfix that serves loopback."""

    def __init__(self, work: Path, port: int, sink: int, more: str = "") -> None:
        """Write the configuration, start, and wait until it answers.

        @param work: an empty directory that user postfix can search.
        @param port: where it listens. @param sink: the port that it delivers to.
        @param more: lines of main.cf that go over ours.
        """
        super().__init__(work, sink, _MAIN_CF + more, f"{LOOPBACK}:{port} inet n - n - - smtpd\n")
        self.start(LOOPBACK, port)
