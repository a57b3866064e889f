"""Configuration files for tests."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.configfile import Loaded, load_settings
from twistedmilter.errors import ConfigError


class ConfigFileTestCase(SynchronousTestCase):
    """Writes and loads configuration files."""

    def write(self, text: str | bytes, name: str = "twistedmilter.toml") -> Path:
        """A new configuration file with this text, in a directory of its own."""
        directory = Path(tempfile.mkdtemp())  # trial's own names are too long for unix sockets
        self.addCleanup(shutil.rmtree, directory)
        path = directory / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(self, text: str | bytes) -> Loaded:
        """What the file with this text says."""
        return load_settings(str(self.write(text)))

    def error(self, text: str | bytes) -> ConfigError:
        """What is wrong with the file with this text."""
        error: ConfigError = self.assertRaises(ConfigError, self.load, text)
        return error

    def problems(self, text: str | bytes) -> list[str]:
        """The same, one line each."""
        return [str(problem) for problem in self.error(text).problems]

    def problem(self, text: str) -> str:
        """The one thing that is wrong."""
        [problem] = self.problems(text)
        return problem
