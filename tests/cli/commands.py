"""The command line, as a user runs it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.cli import main

ROOT = Path(__file__).parents[2]
RUN = "from twistedmilter.cli import main; main()"


class CommandTestCase(SynchronousTestCase):
    """Runs commands in process, and in a process of their own where that is the point."""

    def run_command(self, *arguments: str) -> Result:
        """The result of a command in this process."""
        return CliRunner().invoke(main, list(arguments))

    def run_process(self, *arguments: str, code: str = RUN) -> subprocess.CompletedProcess[str]:
        """The result of a command, or of other code, in a process of its own."""
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)

    def config(self, text: str) -> str:
        """The path of a configuration with this text."""
        path = Path(tempfile.mkdtemp(dir=self.mktemp_directory())) / "twistedmilter.toml"
        path.write_text(text)
        return str(path)

    def mktemp_directory(self) -> Path:
        """A new directory of this test."""
        path = Path(self.mktemp()).absolute()
        path.mkdir()
        return path

    def assert_one_line(self, result: Result, *words: str) -> None:
        """The command failed with exit code 3, one line on stderr that holds these words, and nothing else."""
        self.assertEqual((result.exit_code, result.stdout), (3, ""), result.output)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
