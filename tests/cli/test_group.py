"""What all commands have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from unittest import mock

import click

from tests.cli.command_lines import command_names, parse_line, shown_lines
from tests.cli.commands import ROOT, RUN, CommandTestCase
from twistedmilter import __version__
from twistedmilter.cli import COMMANDS, LazyCommand, errors
from twistedmilter.errors import ConfigError, ConfigProblem, LocalProtocolError, ProtocolViolation, TemporaryFailure

TROUBLES: dict[str, Exception] = {
    "two\u2028lines \x1b[1m": TemporaryFailure("two\u2028lines \x1b[1m"),
    "192.0.2.1 is silent": TemporaryFailure("192.0.2.1 is silent"),
    "a frame of 0 octets": ProtocolViolation("a frame of 0 octets"),
    "not now": LocalProtocolError("not now"),
    "x.toml: a: wrong (and 1 more: twistedmilter check-config x.toml)": ConfigError(
        "x.toml", [ConfigProblem("a", "wrong"), ConfigProblem("b", "wrong too")]
    ),
    "mail.eml: Permission denied": PermissionError(13, "Permission denied", "mail.eml"),
    "Connection refused": ConnectionRefusedError(111, "Connection refused"),
    "fault of ours: KeyError: 'x'": KeyError("x"),
}


def raising(error: BaseException) -> LazyCommand:
    """A command that raises this."""

    def trouble() -> None:
        raise error

    lazy = mock.create_autospec(LazyCommand, instance=True, summary="")
    lazy.load.return_value = click.command(name="trouble")(trouble)
    return lazy  # type: ignore[no-any-return]


class HelpTests(CommandTestCase):
    """--help and --version."""

    def test_help_lists_all_commands(self) -> None:
        """Each command has its line, and the exit code that all share is told."""
        result = self.run_command("--help")
        self.assertEqual(result.exit_code, 0)
        for name, lazy in COMMANDS.items():
            self.assertIn(f"  {name} ", result.stdout)
            self.assertIn(lazy.summary, " ".join(result.stdout.split()))
        self.assertIn("Exit code 3", result.stdout)

    def test_help_imports_nothing_heavy(self) -> None:
        """The list of commands is there before Twisted, dnspython or msgspec could have been imported."""
        code = (
            "import sys\nfrom twistedmilter.cli import main\n"
            "try:\n    main(['--help'])\nexcept SystemExit:\n"
            "    print(sorted({'twisted', 'dns', 'msgspec', 'spf', 'zope'} & set(sys.modules)))"
        )
        self.assertEqual(self.run_process(code=code).stdout.splitlines()[-1], "[]")

    def test_version(self) -> None:
        """--version names the version."""
        self.assertEqual(self.run_command("--version").stdout, f"twistedmilter {__version__}\n")

    def test_every_command_has_help_with_an_example_and_takes_a_configuration(self) -> None:
        """Each registered command is there, explains itself with an example, and takes --config FILE."""
        for name in COMMANDS:
            result = self.run_command(name, "--help")
            self.assertEqual(result.exit_code, 0, result.output)
            self.assertIn("--config FILE", result.stdout, name)
            self.assertIn("Example", result.stdout, name)

    def test_help_shows_lists_and_examples_line_by_line(self) -> None:
        """Exit codes and examples are not filled to paragraphs, and the mark that says so is not shown."""
        for words in command_names():
            result = self.run_command(*words, "--help")
            self.assertNotIn("\\b", result.stdout, words)
            self.assertNotRegex(result.stdout, r"(?m)^ +(Examples|Exit codes?\S*) +\S+ .*twistedmilter", words)

    def test_examples_are_command_lines(self) -> None:
        """Every example in the help of a command is one that the command understands."""
        for words in command_names():
            lines = shown_lines(self.run_command(*words, "--help").stdout)
            for line in lines:
                with self.subTest(line):
                    parse_line(line)


class ErrorTests(CommandTestCase):
    """What goes wrong is one line on stderr and exit code 3, never a traceback."""

    def test_troubles(self) -> None:
        """Each kind of trouble is told in one line without control characters."""
        for words, error in TROUBLES.items():
            self.patch(sys.modules["twistedmilter.cli"], "COMMANDS", {"trouble": raising(error)})
            self.assert_one_line(self.run_command("trouble"), errors.one_line(words))

    def test_a_fault_of_ours_shows_its_traceback_on_demand(self) -> None:
        """With the environment variable set, what is not foreseen is raised."""
        self.patch(sys.modules["twistedmilter.cli"], "COMMANDS", {"trouble": raising(KeyError("x"))})
        self.patch(os, "environ", {**os.environ, errors.TRACEBACK: "1"})
        self.assertIsInstance(self.run_command("trouble").exception, KeyError)

    def test_wrong_usage(self) -> None:
        """Wrong usage is told in one line with the way to the help; click's own exit code 2 would mean tempfail."""
        self.assert_one_line(
            self.run_command("check-config", "--bad"), "--bad", "see twistedmilter check-config --help"
        )
        self.assert_one_line(self.run_command("check-config", "a", "b"), "(b)")
        self.assert_one_line(self.run_command("--bad"), "--bad")

    def test_no_command(self) -> None:
        """Without a command the help is shown, as wrong usage."""
        result = self.run_command()
        self.assertEqual((result.exit_code, result.stdout), (3, ""))
        self.assertIn("Commands:", result.stderr)

    def test_an_unknown_command(self) -> None:
        """An unknown command is told with the nearest one."""
        self.assert_one_line(self.run_command("chek-config"), "'chek-config'", "did you mean check-config?")

    def test_control_c_is_quiet(self) -> None:
        """An interrupted command says nothing, and exits as a shell counts it."""
        self.patch(sys.modules["twistedmilter.cli"], "COMMANDS", {"trouble": raising(KeyboardInterrupt())})
        result = self.run_command("trouble")
        self.assertEqual((result.exit_code, result.output.strip()), (130, ""))

    def test_a_broken_pipe_is_quiet(self) -> None:
        """A reader that goes away before all is written ends the command without a word."""
        command = [sys.executable, "-c", RUN, "show-config"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, cwd=ROOT) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
        self.assertEqual(process.returncode, errors.EXIT_BROKEN_PIPE)
