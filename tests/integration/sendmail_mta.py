"""A private sendmail inside the sandbox, from an unpacked Debian package: nothing of /etc/mail is read."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.integration.auth_servers import serve_saslauthd
from tests.integration.sandbox import HOST, HOST6, HOST_NAME, children, end, wait_for_port
from tests.integration.surroundings import Surroundings

ROOT = Path(os.environ.get("TWISTEDMILTER_SENDMAIL_ROOT") or Path(__file__).parents[2] / "var" / "sendmail").absolute()
_BINARY = ROOT / "usr/libexec/sendmail/sendmail"
_CF = ROOT / "usr/share/sendmail/cf"
_MC = """\
divert(-1)
define(`_CF_DIR_', `{cf}/')dnl
divert(0)dnl
include(`{cf}/m4/cf.m4')dnl
VERSIONID(`loopback test')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `{name}')dnl
define(`confSERVICE_SWITCH_FILE', `{work}/service.switch')dnl
define(`confCW_FILE', `-o {work}/local-host-names')dnl
define(`ALIAS_FILE', `')dnl
define(`QUEUE_DIR', `{work}/mqueue')dnl
define(`STATUS_FILE', `{work}/statistics')dnl
define(`HELP_FILE', `{work}/helpfile')dnl
define(`confPID_FILE', `{work}/sendmail.pid')dnl
define(`confDONT_PROBE_INTERFACES', `true')dnl
define(`confBIND_OPTS', `-DNSRCH -DEFNAMES')dnl
define(`confTO_IDENT', `0')dnl
define(`confTO_QUEUEWARN', `')dnl
define(`confPRIVACY_FLAGS', `noetrn')dnl
define(`confLOG_LEVEL', `14')dnl
define(`confMILTER_LOG_LEVEL', `14')dnl
define(`confREFUSE_LA', `0')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confDELAY_LA', `0')dnl
define(`confDELIVERY_MODE', `background')dnl
define(`confMAX_HEADERS_LENGTH', `1048576')dnl
define(`confTRY_NULL_MX_LIST', `true')dnl
define(`confAUTH_MECHANISMS', `PLAIN')dnl
TRUST_AUTH_MECH(`PLAIN')dnl
define(`confCACERT_PATH', `{certificates.directory}')dnl
define(`confCACERT', `{certificates.authority}')dnl
define(`confSERVER_CERT', `{certificates.server}')dnl
define(`confSERVER_KEY', `{key}')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {sink}')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {sink}')dnl
define(`SMTP_MAILER_ARGS', `TCP $h {sink}')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
FEATURE(`promiscuous_relay')dnl
{documented}
{others}
{daemons}
MAILER(`smtp')dnl
"""
_FILTER = re.compile(r"INPUT_MAIL_FILTER\(`([^']*)',\s*`S=inet:\d+@([^,']*)([^']*)'\)")


def lacking() -> str:
    """What is not there; empty when nothing lacks."""
    if not _BINARY.exists():
        return f"sendmail is not unpacked below {ROOT} (tools/debian.sh test)"
    return ""


def _other_filters(documented: str, milters: Mapping[str, int]) -> str:
    """The documented filter once more for each role that is not inbound; daemons choose among them by name."""
    match = _FILTER.search(documented)
    if match is None:
        raise LookupError(f"README shows no INPUT_MAIL_FILTER(`NAME', `S=inet:PORT@HOST...'): {documented}")
    return "\n".join(
        f"MAIL_FILTER(`{role}', `S=inet:{port}@{match[2]}{match[3]}')dnl"
        for role, port in milters.items()
        if role != "inbound"
    )


def _daemons(ports: Mapping[str, int]) -> str:
    lines = []
    for role, port in ports.items():
        chosen = "" if role == "inbound" else f", InputFilter={role}"
        for family, host in (("inet", HOST), ("inet6", f"IPv6:{HOST6}")):
            options = f"Family={family}, Name={role}{family[4:]}, Addr={host}, Port={port}{chosen}"
            lines.append(f"DAEMON_OPTIONS(`{options}')dnl")
    return "\n".join(lines)


class SendmailMta:
    """One running sendmail."""

    runner = "sendmail"

    def __init__(self, work: Path, around: Surroundings) -> None:
        """Write the configuration, start, and wait until it answers."""
        self._work = work
        self._held: set[str] = set()
        (work / "mqueue").mkdir(parents=True, mode=0o700)
        (work / "statistics").touch()
        (work / "service.switch").write_text("hosts files dns\naliases files\n")
        (work / "local-host-names").write_text("")
        _serve_passwords(work)
        mc = _MC.format(
            cf=_CF,
            work=work,
            name=HOST_NAME,
            sink=around.sink,
            certificates=around.certificates,
            key=around.certificates.server.with_suffix(".key"),
            documented=around.lines.sendmail_mc,
            others=_other_filters(around.lines.sendmail_mc, around.milters),
            daemons=_daemons(around.ports),
        )
        (work / "test.mc").write_text(mc)
        with (work / "test.cf").open("wb") as cf:
            subprocess.run(["m4", str(work / "test.mc")], stdout=cf, check=True)
        _serve_syslog(work / "maillog")
        log = work / "sendmail.out"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [_BINARY, "-C", str(work / "test.cf"), "-bD"],
                env={**os.environ, "LD_LIBRARY_PATH": libraries()},
                stdout=output,
                stderr=output,
            )
        wait_for_port(HOST, around.ports["inbound"], self._process, log)

    def submit(self, sender: str, recipient: str, content: bytes) -> bool:
        """Nothing to do here: sendmail's own command hands messages over by SMTP, as its submit.cf says."""
        raise NotImplementedError("the message comes by SMTP, say CONNECT 127.0.0.1")

    def kill_session(self) -> None:
        """Kill every child as a crash would."""
        for pid in children(self._process.pid):
            os.kill(pid, signal.SIGKILL)

    def holds(self) -> bool:
        """Whether a message came to the quarantine (files hf...) since this was last asked."""
        before, self._held = self._held, {path.name for path in (self._work / "mqueue").glob("hf*")}
        return bool(self._held - before)

    def log(self) -> str:
        """What sendmail logged."""
        return (self._work / "maillog").read_text(errors="replace")

    def stop(self) -> None:
        """End it and its sessions."""
        for pid in children(self._process.pid):
            os.kill(pid, signal.SIGTERM)
        end(self._process)


def libraries() -> str:
    """Where libraries lie that were unpacked with it."""
    return ":".join(str(path) for path in (*ROOT.glob("usr/lib/*-linux-gnu*"), *ROOT.glob("lib/*-linux-gnu*")))


def _serve_passwords(work: Path) -> None:
    """Let Cyrus SASL ask us: its plugins lie where its configuration is looked for, so that gets a copy on top."""
    for plugins in Path("/usr/lib").glob("*-linux-gnu*/sasl2"):
        own = work / "sasl2"
        shutil.copytree(plugins, own)
        (own / "Sendmail.conf").write_text(f"pwcheck_method: saslauthd\nsaslauthd_path: {work}/mux\n")
        serve_saslauthd(work / "mux")
        subprocess.run(["mount", "--bind", str(own), str(plugins)], check=True)
        return


def _serve_syslog(path: Path) -> None:
    """A /dev/log of our own: the sandbox has its own mounts, so /dev can be another one."""
    devices = path.parent / "dev"
    devices.mkdir()
    for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)):
        os.mknod(devices / name, 0o020666, os.makedev(1, minor))
        (devices / name).chmod(0o666)
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(devices / "log"))
    (devices / "log").chmod(0o666)
    subprocess.run(["mount", "--bind", str(devices), "/dev"], check=True)
    threading.Thread(target=_write_log, args=(log, path), daemon=True).start()


def _write_log(log: socket.socket, path: Path) -> None:
    with path.open("ab", buffering=0) as output:
        while True:
            output.write(re.sub(rb"^<\d+>", b"", log.recv(65536).rstrip(b"\n\0")) + b"\n")
