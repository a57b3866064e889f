"""Hosts that forward mail: a real Postfix with SRS by our service, or by postsrsd; and what the manual says of it."""

from __future__ import annotations

import re
import shutil
import smtplib
import subprocess
from pathlib import Path

from tests.integration.receiving_postfix import LOOPBACK, ReceivingPostfix
from tests.integration.sandbox import end, wait_for_port

MANUAL = Path(__file__).parents[2] / "docs" / "srs.md"
DOCUMENTED_SOCKET = "/run/twistedmilter/socketmap"
DOCUMENTED_DOMAIN = "fwd.example"
_FORWARDER = """\
relay_domains =
relay_recipient_maps =
virtual_alias_domains = {domain}
virtual_alias_maps = inline:{{ {{ bob@{domain} = {destination} }} }}
smtpd_recipient_restrictions =
transport_maps = inline:{{ {{ none.invalid = error:5.1.2 }}{transports} }}
"""


def documented(language: str) -> str:
    """The lines that the manual shows for a file of an MTA."""
    found = re.search(rf"^```{re.escape(language)}\n(.*?)^```", MANUAL.read_text(), re.DOTALL | re.MULTILINE)
    if found is None:
        raise LookupError(f"{MANUAL} shows no lines of {language}")
    return found[1]


def srs_lines(socket: Path) -> str:
    """The documented lines of main.cf, with the socket of a test."""
    return documented("main.cf").replace(DOCUMENTED_SOCKET, str(socket))


def forwarder(
    work: Path, port: int, sink: int, *, domain: str, destination: str, srs: str, transports: dict[str, int]
) -> ReceivingPostfix:
    """A Postfix that takes mail for a domain and forwards what is for its user bob.

    @param destination: where bob's mail goes. @param srs: lines of main.cf.
    @param transports: the ports of the hosts that have these domains; anything else goes to the sink.
    """
    routes = "".join(f", {{ {name} = smtp:[{LOOPBACK}]:{at} }}" for name, at in transports.items())
    lines = _FORWARDER.format(domain=domain, destination=destination, transports=routes)
    return ReceivingPostfix(work, port, sink, lines + srs)


def send(port: int, sender: str, recipients: list[str]) -> dict[str, tuple[int, bytes]]:
    """Send a message.

    @return: the recipients that were refused, if not all were.
    @raise smtplib.SMTPException: it was refused.
    """
    with smtplib.SMTP(LOOPBACK, port, local_hostname="client.example", timeout=30) as client:
        return client.sendmail(sender, recipients, b"Subject: hello\r\n\r\nhello\r\n")


class PostSRSd:
    """Debian's postsrsd on two ports of loopback.

    @ivar lines: of main.cf.
    """

    BINARY = "/usr/sbin/postsrsd"

    def __init__(self, work: Path, domain: str, forward: int, reverse: int) -> None:
        """Start it, and wait until it answers."""
        work.mkdir()
        secret, log = work / "secret", work / "output"
        secret.write_text("correct horse battery\n")
        secret.chmod(0o600)
        ports = (f"-f{forward}", f"-r{reverse}")
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [self.BINARY, f"-s{secret}", f"-d{domain}", *ports, "-4"], stdout=output, stderr=output
            )
        try:
            wait_for_port(LOOPBACK, reverse, self._process, log)
        except RuntimeError:
            self.stop()
            raise
        self.lines = (
            f"sender_canonical_maps = tcp:{LOOPBACK}:{forward}\nsender_canonical_classes = envelope_sender\n"
            f"recipient_canonical_maps = tcp:{LOOPBACK}:{reverse}\n"
            "recipient_canonical_classes = envelope_recipient, header_recipient\n"
        )

    @classmethod
    def lacking(cls) -> str:
        """What is not installed; empty when nothing."""
        return "" if shutil.which(cls.BINARY) else "postsrsd is not installed (Debian package postsrsd)"

    def stop(self) -> None:
        """End it."""
        end(self._process)
