"""Run gates and tests on all cores and end with one line: C{N passed, N failed}.

    python -m tests.run [--gates] [--without PREFIX] [--seed N] [MODULE OR PACKAGE...]

Each module has a process of its own, so that none leans on what another left behind.  The modules of
C{tests.integration} run one after the other, beside the rest: they start servers and look at the clock.

A test that was skipped lacks something that this machine should have.  That is said loudly, and where C{CI} is set
in the environment it is a failure.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from tests.gates import ROOT, gates
from tests.run_module import Report

ONE_AT_A_TIME = "tests.integration"
TIME_LIMIT = 400.0  # seconds for one module or gate
LONGEST_FIRST = ("gate:", "tests.test_packaging", "tests.test_spf_driver")


@dataclass(frozen=True)
class Job:
    """A gate or a module of tests, and the command that runs it.

    @ivar report: where its process writes a L{Report}; None for a gate, whose exit code says all.
    """

    name: str
    command: list[str]
    report: Path | None = None


class Running:
    """A job's process; its output is kept in a file, because a server that a test left behind may hold a pipe open."""

    def __init__(self, job: Job) -> None:
        """Start it in a session of its own, so that it can be ended with all its children."""
        self.job = job
        self.started = time.monotonic()
        self._output = tempfile.TemporaryFile("w+", errors="backslashreplace")  # noqa: SIM115 - closed in finish()
        self._process = subprocess.Popen(
            job.command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def has_ended(self) -> bool:
        """Whether it has ended, by itself or because its time was over."""
        if self._process.poll() is None and time.monotonic() - self.started > TIME_LIMIT:
            self.end()
            self._output.write(f"\nended after {TIME_LIMIT:.0f} s\n")
        return self._process.poll() is not None

    def end(self) -> None:
        """End the process and its children."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def finish(self) -> Report:
        """What came of it, with one line about it; the output is shown if it failed."""
        self._output.seek(0, os.SEEK_SET)
        output = self._output.read()
        self._output.close()
        report = self._report()
        if report.failed > len(report.names):
            report.names.append(self.job.name)  # a gate, a crash, a warning: not one test
        word = "FAILED" if report.failed else "ok"
        seconds = time.monotonic() - self.started
        print(f"{word:7}{self.job.name:<50}{report.passed + report.failed:5} {seconds:6.1f} s", flush=True)
        if report.failed:
            print(output, flush=True)
        return report

    def _report(self) -> Report:
        code = self._process.returncode
        if self.job.report is None:
            return Report(passed=int(code == 0), failed=int(code != 0))
        try:
            report = Report.read(self.job.report)
        except (OSError, ValueError):
            return Report(failed=1)  # it died: an import error of the runner itself, a signal, the time limit
        report.failed += int(code != 0)
        return report


def modules(target: str) -> list[str]:
    """The test modules in a package, or the module itself."""
    path = ROOT / target.replace(".", "/")
    if not path.is_dir():
        return [target]
    found = sorted(path.rglob("test_*.py"))
    return [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in found]


def plan(arguments: argparse.Namespace, directory: Path) -> list[Job]:
    """All jobs, those first that take longest."""
    jobs = [Job(name, command) for name, command in gates().items()] if arguments.gates else []
    names = [name for target in arguments.targets for name in modules(target)]
    for name in names:
        if arguments.without and name.startswith(arguments.without):
            continue
        report = directory / f"{name}.json"
        command = [sys.executable, "-m", "tests.run_module", name, str(report), str(arguments.seed)]
        jobs.append(Job(name, command, report))
    return sorted(jobs, key=lambda job: not job.name.startswith(LONGEST_FIRST))


def run(jobs: list[Job]) -> list[Report]:
    """Run all jobs, as many at once as there are cores, at most one of L{ONE_AT_A_TIME}."""
    single = deque(job for job in jobs if job.name.startswith(ONE_AT_A_TIME))
    others = deque(job for job in jobs if not job.name.startswith(ONE_AT_A_TIME))
    running: list[Running] = []
    reports: list[Report] = []
    try:
        while single or others or running:
            for done in [process for process in running if process.has_ended()]:
                running.remove(done)
                reports.append(done.finish())
            if single and not any(process.job.name.startswith(ONE_AT_A_TIME) for process in running):
                running.append(Running(single.popleft()))
            elif others and len(running) < max(2, os.cpu_count() or 1):
                running.append(Running(others.popleft()))
            else:
                time.sleep(0.02)
    finally:
        for process in running:
            process.end()
    return reports


def closing_line(reports: list[Report], *, strict: bool) -> tuple[str, bool]:
    """The last line, and whether all is well.

    @param strict: a skipped test is a failure.
    """
    passed, failed = sum(report.passed for report in reports), sum(report.failed for report in reports)
    skipped = [skip for report in reports for skip in report.skipped]
    for name in sorted(name for report in reports for name in report.names):
        print(f"FAILED {name}")
    for test, reason in skipped:
        print(f"*** {'NOT RUN, AND IT MUST BE HERE' if strict else 'SKIPPED'}: {test}: {reason}")
    if strict:
        failed += len(skipped)
        skipped = []
    line = f"{passed} passed, {failed} failed" + (f", {len(skipped)} skipped" if skipped else "")
    return line, failed == 0 and passed > 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.run")
    parser.add_argument("--gates", action="store_true", help="run the gates too, or alone")
    parser.add_argument("--without", metavar="PREFIX", help="leave out the modules whose name begins so")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="the order of tests")
    parser.add_argument("targets", nargs="*", help="modules or packages of tests")
    arguments = parser.parse_args()
    print(f"order of tests: --seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        reports = run(plan(arguments, Path(directory)))
    line, good = closing_line(reports, strict=os.environ.get("CI", "") not in {"", "0", "false"})
    print(line, flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
