"""The lines of docs/mta-dns-lists.md in real MTAs, run inside the sandbox by the test of the same name.

    unshare --net --mount --uts ... -- python -m tests.integration.list_mtas DIRECTORY

Between an MTA and the lists stands a real unbound.  Writes one JSON object: what each MTA and each lookup said.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from tests.integration import sendmail_mta
from tests.integration.certificates import make_certificates
from tests.integration.daemon import MILTERS, ROOT, Daemon, session_config
from tests.integration.documented import README, documented_lines
from tests.integration.postfix_mta import PostfixMta
from tests.integration.replay import PORTS, SINK
from tests.integration.sandbox import HOST, add_address, end, set_up, wait_for_port
from tests.integration.sendmail_mta import SendmailMta
from tests.integration.smtp_dialogue import SmtpDialogue
from tests.integration.smtp_sink import SmtpSink
from tests.integration.surroundings import Surroundings
from tests.integration.unbound import Unbound

PAGE = ROOT / "docs" / "mta-dns-lists.md"
HACK = ROOT / "twistedmilter" / "data" / "rhsbl.m4"
ZONES = ("rhsbl.example.net", "ipbl.example.net")
LISTED = ("ded307.com.rhsbl.example.net", "66.2.0.192.ipbl.example.net")
LISTS, NAMES = 8853, 5353  # the port of the lists as the manual has it, and of the name server that knows the rest
CLIENT, LISTED_CLIENT = "192.0.2.9", "192.0.2.66"
CLIENTS_ZONE = """\
192.0.2.66  :127.0.0.2:sent spam on Monday
"""
# the example of the manual, and a code that its lines do not name
DOMAINS_ZONE = """\
{documented}
error.example :127.0.0.9:a code that the lines do not name
"""
# who is a stranger, and where relaying is decided, behind all lines that the manual has
_STRANGERS = """
mynetworks = 127.0.0.0/8
relay_domains = test.invalid
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions =
"""
# qname-minimisation-strict: no way back to asking for the whole name; use-caps-for-id: capitals at random, compared
_WALKING = """
server:
    do-not-query-localhost: no
    domain-insecure: "example.net"
    qname-minimisation: yes
    qname-minimisation-strict: yes
    use-caps-for-id: yes
"""
_RULES_MC = """\
divert(-1)
define(`_CF_DIR_', `{cf}/')dnl
divert(0)dnl
include(`{cf}/m4/cf.m4')dnl
VERSIONID(`rule test')dnl
OSTYPE(`linux')dnl
define(`confBIND_OPTS', `-DNSRCH -DEFNAMES')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
{lines}
MAILER(`smtp')dnl
"""
_MESSAGE = b"From: a@example.org\r\nTo: bob@test.invalid\r\nSubject: hello\r\n\r\nNothing special.\r\n"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def page_block(kind: str, page: str) -> str:
    """The first fenced block of a kind.

    @raise LookupError: the page has none.
    """
    for found, text in _BLOCK.findall(page):
        if found == kind:
            return str(text)
    raise LookupError(f"{PAGE.name} has no ```{kind} block")


def start_names(directory: Path, zone: str, port: int) -> subprocess.Popen[bytes]:
    """A name server on a port of its own."""
    file, log = directory / f"zone-{port}", directory / f"names-{port}.log"
    file.write_text(zone)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.nameserver", str(file), str(port)], stdout=output, stderr=output
        )
    wait_for_port("127.0.0.1", port, process, log)
    return process


def start_lists(directory: Path, page: str) -> Daemon:
    """The service with the lists of the manual, which judges nothing itself."""
    config = session_config(f"{page_block('toml', page)}\n[policy]\nchecks = []\n")
    documented = re.search(r"^serial:.*$", page, re.MULTILINE)
    assert documented is not None
    domains = DOMAINS_ZONE.format(documented=documented[0])
    service = Daemon(directory / "service", config, [("throwaway.zone", domains), ("clients.zone", CLIENTS_ZONE)])
    deadline = time.monotonic() + 10
    while not all(dig("@127.0.0.1", "-p", str(LISTS), name) for name in LISTED) and time.monotonic() < deadline:
        time.sleep(0.05)  # SERVFAIL until the zones are loaded, which unbound would remember
    return service


def with_hack(directory: Path) -> None:
    """The configuration files of sendmail with our hack among them: a copy, mounted over them in this sandbox."""
    shipped = sendmail_mta.ROOT / "usr/share/sendmail/cf"
    copy = directory / "cf"
    shutil.copytree(shipped, copy)
    shutil.copy(HACK, copy / "hack")
    subprocess.run(["mount", "--bind", str(copy), str(shipped)], check=True)


def deliver(client: str, sender: str) -> str:
    """What a client is told: the first refusal, else the reply to the message."""
    dialogue = SmtpDialogue(client, (HOST, PORTS["inbound"]))
    dialogue.reply()
    for line in ("EHLO client.example", f"MAIL FROM:<{sender}>", "RCPT TO:<bob@test.invalid>", "DATA"):
        reply = dialogue.command(line)
        if reply.code >= 400 or not reply.code:
            break
    else:
        reply = dialogue.content(_MESSAGE)
    dialogue.close()
    return str(reply)


def dialogues() -> dict[str, str]:
    """What is said of each sender and client."""
    told = {
        sender: deliver(CLIENT, sender)
        for sender in ("a@ded307.com", "a@DED307.COM", "a@example.org", "a@error.example", "a@ded30.com", "")
    }
    return {**told, LISTED_CLIENT: deliver(LISTED_CLIENT, "a@example.org")}


def rule_tests(directory: Path) -> dict[str, str]:
    """What the rules of the hack say, by configuration and sender: sendmail's own rule tester."""
    (directory / "access").write_text("From:friend@ded307.com OK\nFrom:ded308.com OK\n")
    access = f"FEATURE(`access_db', `text -o -k0 -v1 -T<TMPF> {directory / 'access'}')dnl"
    silent = "HACK(`rhsbl', `silent.example.net'{})dnl"
    listed = "HACK(`rhsbl', `rhsbl.example.net')dnl"
    cases = {
        "listed": (listed, "<a@ded307.com>"),
        "own text": (listed.replace(")", ', `"550 5.7.1 No, " $&{RHS} ", no"\')'), "<a@ded307.com>"),
        "other code": (listed.replace(")", ", `', `', `127.0.0.2.')"), "<a@ded307.com>"),
        "its code": (listed.replace(")", ", `', `', `127.0.0.2.', `127.0.0.$-.')"), "<a@ded307.com>"),
        "access, user": (f"{access}\n{listed}", "<friend@ded307.com>"),
        "access, domain": (f"{access}\n{listed}", "<a@ded308.com>"),
        "no access": (listed, "<a@ded308.com>"),
        "access, another user": (f"{access}\n{listed}", "<a@ded307.com>"),
        "silent": (silent.format(""), "<a@ded307.com>"),
        "silent, t": (silent.format(", `', `t'"), "<a@ded307.com>"),
        "silent, text": (silent.format(", `', `\"451 4.7.1 later, please\"'"), "<a@ded307.com>"),
        "two lists": (f"{silent.format('')}\n{listed}", "<a@ded307.com>"),
        "one label": (listed, "<a@test>"),
        "literal": (listed, "<a@[127.0.0.2]>"),
        "null": (listed, "<>"),
        "delayed": (f"FEATURE(`delay_checks')dnl\n{listed}", "<a@ded307.com>"),
    }
    return {name: rule_test(directory / "rules", lines, sender) for name, (lines, sender) in cases.items()}


def rule_test(work: Path, lines: str, sender: str) -> str:
    """What the ruleset for senders returns with these lines: ours, or all of it where that is asked at RCPT."""
    ruleset = "checkmail" if "delay_checks" in lines else "Local_check_mail"
    told = rule_tester(work, lines, f"{ruleset} {sender}")
    said = [line for line in told.splitlines() if line.startswith(f"{ruleset} ")]
    return said[-1].partition("returns:")[2].strip() if said else told


def host_map(directory: Path) -> dict[str, str]:
    """What sendmail's own map for hosts, which asks for IPv6 first, finds of names in a list."""
    name = "LOCAL_CONFIG\nKhosts host -T<TMP>"
    names = (f"ded307.com.{ZONES[0]}.", f"example.org.{ZONES[0]}.")
    told = {each: rule_tester(directory / "rules", name, f"/map hosts {each}") for each in names}
    return {each: next(line for line in text.splitlines() if "map_lookup" in line) for each, text in told.items()}


def rule_tester(work: Path, lines: str, command: str) -> str:
    """What sendmail's rule tester prints with these lines in sendmail.mc."""
    work.mkdir(exist_ok=True)
    cf = sendmail_mta.ROOT / "usr/share/sendmail/cf"
    (work / "t.mc").write_text(_RULES_MC.format(cf=cf, lines=lines))
    with (work / "t.cf").open("wb") as output:
        subprocess.run(["m4", str(work / "t.mc")], stdout=output, check=True)
    done = subprocess.run(
        [sendmail_mta.ROOT / "usr/libexec/sendmail/sendmail", "-C", str(work / "t.cf"), "-bt"],
        env={**os.environ, "LD_LIBRARY_PATH": sendmail_mta.libraries()},
        input=f"{command}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


def minimised(directory: Path) -> dict[str, object]:
    """What an unbound that walks down label by label finds, and which names it asked for."""
    stubs = "".join(f"stub-zone:\n name: {zone}\n stub-addr: 127.0.0.1@{LISTS}\n" for zone in ZONES)
    walking = Unbound(directory / "walking", f"{_WALKING}{stubs}", NAMES, port=5300, verbosity=3)
    try:
        names = (*LISTED, "a.b.example.org.rhsbl.example.net")
        answers = {name: dig("@127.0.0.1", "-p", "5300", name) for name in names}
    finally:
        walking.stop()
    asked = set(re.findall(r"sending query: (\S+)\. a in", walking.log().lower()))
    return {"answers": answers, "asked": sorted(asked)}


def dig(*arguments: str) -> list[str]:
    """What dig prints, sorted."""
    done = subprocess.run(["dig", "+short", *arguments], capture_output=True, text=True, check=False, timeout=30)
    return sorted(done.stdout.split("\n"))[1:] if done.stdout else []


def main() -> None:
    """Ask both MTAs."""
    directory = set_up(Path(sys.argv[1]))
    add_address(CLIENT)
    add_address(LISTED_CLIENT)
    page = PAGE.read_text("utf-8")
    names = start_names(directory, "ded307.com.silent.example.net ANY SERVFAIL", NAMES)
    service = start_lists(directory, page)
    unbound = Unbound(directory / "unbound", page_block("unbound", page), NAMES)
    sink = SmtpSink("127.0.0.1", SINK)
    readme = documented_lines(README.read_text("utf-8"))
    lines = replace(
        readme,
        sendmail_mc=f"{readme.sendmail_mc}\n{page_block('m4', page)}",
        main_cf=f"{readme.main_cf}\n{page_block('ini', page)}\n{_STRANGERS}",
    )
    certificates = make_certificates(directory / "certificates")
    around = Surroundings(lines, {"inbound": PORTS["inbound"]}, MILTERS, SINK, certificates)
    told: dict[str, object] = {}
    try:
        told["dig"] = {name: dig(name) for name in ("test.rhsbl.example.net", "ded307.com.rhsbl.example.net")}
        with_hack(directory)
        for mta in (PostfixMta, SendmailMta):
            running = mta(directory / mta.runner, around)
            told[mta.runner] = dialogues()
            told[f"{mta.runner} log"] = running.log()[-4000:]
            running.stop()
        told["rules"] = rule_tests(directory)
        told["host map"] = host_map(directory)
        told["minimised"] = minimised(directory)
    finally:
        service.stop()
        sink.close()
        unbound.stop()
        end(names)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
