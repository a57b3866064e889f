"""A network, mount and UTS namespace of its own, in which SMTP clients have the addresses that a session gives them.

Nothing outside sees what listens here, so every server has its real port, and the lines of README work unchanged.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path

HOST = "192.0.2.25"  # where the MTA listens for IPv4 clients (RFC 5737)
HOST6 = "2001:db8::25"  # and for IPv6 (RFC 3849)
HOST_NAME = "mx.test.invalid"
_ENTER = ("unshare", "--net", "--mount", "--uts", "--propagation", "private")
# with a process namespace nothing that was started in a sandbox outlives it, whatever happens
_ALONE = ("--pid", "--fork", "--kill-child", "--mount-proc")
_WORK = Path("/mnt")
_FILES = {
    "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    "/etc/hosts": f"127.0.0.1 localhost\n{HOST} {HOST_NAME}\n{HOST6} {HOST_NAME}\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n",
}


def lacking() -> str:
    """What this machine lacks for a sandbox; empty when it lacks nothing."""
    if os.geteuid() != 0:
        return "MTAs are started by root only"
    for tool in ("unshare", "ip", "mount", "hostname"):
        if shutil.which(tool) is None:
            return f"the command {tool} is not installed"
    return _refused(_ENTER)


def _refused(options: tuple[str, ...]) -> str:
    """Why there can be no such namespaces; empty when there can be."""
    probe = subprocess.run([*options, "--", "true"], capture_output=True, text=True, check=False)
    return f"no namespaces here: {probe.stderr.strip()}" if probe.returncode else ""


def inside(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of the tests inside a new sandbox."""
    alone = () if _refused((*_ENTER, *_ALONE)) else _ALONE
    return [*_ENTER, *alone, "--", sys.executable, "-m", module, *arguments]


def set_up(directory: Path) -> Path:
    """Inside the namespace: addresses on lo, our own name, and name resolution by 127.0.0.1 port 53.

    @return: the directory under a name that no world-writable directory leads to: sendmail is particular there.
    """
    _run("ip", "link", "set", "lo", "up")
    _run("hostname", HOST_NAME)
    add_address(HOST)
    add_address(HOST6)
    for target, text in _FILES.items():
        source = directory / target.replace("/", "_")
        source.write_text(text)
        _run("mount", "--bind", str(source), target)
    _run("mount", "--bind", str(directory), str(_WORK))
    return _WORK


def add_address(address: str) -> None:
    """Let SMTP clients connect from this address."""
    six = ip_address(address).version == 6
    if not ip_address(address).is_loopback:
        _run("ip", "addr", "replace", f"{address}/{128 if six else 32}", "dev", "lo", *(["nodad"] if six else []))


def wait_for_port(host: str, port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 20.0) -> None:
    """Come back when something listens there.

    @raise RuntimeError: the process ended, or was not ready in time; with the end of its log.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    state = "is not ready" if process.poll() is None else f"ended with {process.returncode}"
    raise RuntimeError(f"{process.args!r} {state}: {log.read_text(errors='replace')[-4000:]}")


def children(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    task = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in task.read_text().split()] if task.exists() else []


def end(process: subprocess.Popen[bytes], seconds: float = 5.0) -> None:
    """SIGTERM, and SIGKILL when that does not help in time; then its children, should they have stayed."""
    left = children(process.pid)
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in left:
        _kill_child(pid, process.pid)


def _kill_child(pid: int, parent: int) -> None:
    """Kill a child of a process that is gone: it has been given to another parent since."""
    status = Path(f"/proc/{pid}/stat")
    try:
        if int(status.read_text().rpartition(")")[2].split()[1]) != parent:
            os.kill(pid, 9)
    except (FileNotFoundError, ProcessLookupError):
        return


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


if __name__ == "__main__":
    sys.stdout.write((lacking() or "a sandbox can be had") + "\n")
