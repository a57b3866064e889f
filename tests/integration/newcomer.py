"""What README promises a newcomer, done as README says; run inside the sandbox by the test of the same name.

    unshare --net --mount --uts ... -- python -m tests.integration.newcomer DIRECTORY

Writes one JSON object: what each command of README printed, by its name, and the service's own output.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.integration.certificates import make_certificates
from tests.integration.daemon import MILTERS, ROOT
from tests.integration.documented import README, documented_lines
from tests.integration.postfix_mta import PostfixMta
from tests.integration.replay import PORTS, SINK, start_name_server
from tests.integration.sandbox import HOST, add_address, end, set_up, wait_for_port
from tests.integration.sendmail_mta import SendmailMta
from tests.integration.surroundings import Surroundings

CLIENT = "192.0.2.9"  # the address in README's scan
ZONE = 'example.com TXT "v=spf1 -all"\n'
MESSAGE = "From: ceo@example.com\nTo: postbox@test.invalid\nSubject: wire the money\n\nNow.\n"
_COMMAND = re.compile(r"^(?:\S*/)?(swaks|twistedmilter (?:scan|spf)) .*$", re.MULTILINE)
_SERVER = re.compile(r"""--server (?:"[^"]*"|\S+) """)


def readme_commands(readme: str) -> dict[str, str]:
    """README's command lines, by C{swaks}, C{scan} and C{spf}, with this sandbox's names put in.

    The server is named, whatever README says of finding one: all addresses of the sandbox are on lo.
    """
    found: dict[str, str] = {}
    for match in _COMMAND.finditer(readme):
        line = _SERVER.sub(f"--server {HOST} ", match[0]).replace("YOUR.DOMAIN", "test.invalid")
        found.setdefault(match[1].split()[-1], line)
    return found


def run(line: str, directory: Path) -> dict[str, object]:
    """What a command line printed in a shell, and its exit status."""
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return {"status": done.returncode, "output": done.stdout + done.stderr}


def start_service(directory: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """The service as C{make run} starts it: with its defaults."""
    log = directory / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "twistd", "-n", "--pidfile=", "twistedmilter"],
            cwd=ROOT,
            env={**os.environ, "HOME": str(directory), "STATE_DIRECTORY": str(directory / "state")},
            stdout=output,
            stderr=output,
        )
    wait_for_port("127.0.0.1", MILTERS["inbound"], process, log)
    return process, log


def main() -> None:
    """Do what README says, with one MTA after the other."""
    directory = set_up(Path(sys.argv[1]))
    add_address(CLIENT)
    (directory / "message.eml").write_text(MESSAGE)
    (directory / ".venv").symlink_to(Path(sys.executable).parents[1])  # README's commands begin in a checkout
    lines = documented_lines(README.read_text("utf-8"))
    commands = readme_commands(README.read_text("utf-8"))
    names = start_name_server(directory, ZONE)
    service, log = start_service(directory)
    certificates = make_certificates(directory / "certificates")
    around = Surroundings(lines, {"inbound": PORTS["inbound"]}, MILTERS, SINK, certificates)
    told: dict[str, object] = {}
    try:
        for mta in (PostfixMta, SendmailMta):
            running = mta(directory / mta.runner, around)
            told[mta.runner] = run(f"{commands['swaks']} --local-interface {CLIENT}", directory)
            running.stop()
        told["scan"] = run(commands["scan"], directory)
        told["scan-json"] = run(f"{commands['scan']} --json", directory)
        told["spf"] = run(commands["spf"], directory)
        time.sleep(0.2)  # the record is written after the answer
    finally:
        end(service)
        end(names)
    told["log"] = log.read_text(errors="replace")
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
