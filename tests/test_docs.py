"""What the manual says is so."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.command_lines import parse_line, shown_lines
from twistedmilter.cli import main
from twistedmilter.configfile import load_settings
from twistedmilter.model.listen import parse_listen
from twistedmilter.model.settings import Settings

ROOT = Path(__file__).resolve().parent.parent


def fenced(language: str) -> str:
    """README's one block of this language."""
    [block] = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return str(block)


class ReadmeTests(SynchronousTestCase):
    """A newcomer copies these lines."""

    def test_the_configuration_can_be_used(self) -> None:
        """check-config has nothing to say about it, and it is short."""
        path = Path(self.mktemp())
        path.write_text(fenced("toml"))
        loaded = load_settings(str(path.resolve()))
        self.assertEqual(loaded.settings.policy.mode, "observe")
        self.assertLess(len(fenced("toml").splitlines()), 15)

    def test_both_mtas_are_sent_to_the_default_listener(self) -> None:
        """The addresses in the lines for sendmail.mc and main.cf are where the defaults listen."""
        [default] = Settings().milter.listen
        assert isinstance(default, str)
        sendmail = re.search(r"S=([^,']+)", fenced("m4"))
        postfix = re.search(r"^smtpd_milters = (\S+)$", fenced("ini"), re.MULTILINE)
        assert sendmail, fenced("m4")
        assert postfix, fenced("ini")
        self.assertEqual(parse_listen(sendmail[1]), parse_listen(default))
        self.assertEqual(parse_listen(postfix[1]), parse_listen(default))

    def test_no_mail_passes_unjudged(self) -> None:
        """When the service is away both MTAs say: try later."""
        self.assertIn("F=T", fenced("m4"))
        self.assertIn("milter_default_action = tempfail", fenced("ini"))

    def test_links_lead_somewhere(self) -> None:
        """Every relative link of README and the manual is a file of the project."""
        pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
        links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text())]
        self.assertEqual([f"{page}: {link}" for page, link in links if not (page.parent / link).exists()], [])

    def test_every_page_is_in_the_index(self) -> None:
        """Whoever begins at docs/index.md finds everything."""
        index = (ROOT / "docs/index.md").read_text()
        pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
        self.assertEqual({page for page in pages if f"({page})" not in index}, set())


def shown_commands(page: Path) -> list[str]:
    """The command lines in the fenced blocks of a page, prompts left out."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return shown_lines(re.sub(r"^( *)\$ ", r"\1", "\n".join(blocks), flags=re.MULTILINE))


class CommandLineTests(SynchronousTestCase):
    """What README and the manual tell an administrator to type."""

    def test_commands_understand_every_line(self) -> None:
        """The command of each line that a block shows can read it; README shows at least six."""
        self.assertGreaterEqual(len(shown_commands(ROOT / "README.md")), 6)
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
            for line in shown_commands(page):
                with self.subTest(page=page.name, line=line):
                    parse_line(line)

    def test_a_wrong_line_is_not_understood(self) -> None:
        """The test above can fail: a command, an option or an argument that is not there."""
        for line in ("twistedmilter scna x.eml", "twistedmilter status --jsn", "twistedmilter verify", "twistedmilter"):
            self.assertRaises(click.UsageError, parse_line, line)

    def test_harmless_lines_do_what_they_say(self) -> None:
        """README's commands for a configuration take README's configuration, and its policy is shown."""
        path = Path(self.mktemp()).resolve()
        path.write_text(fenced("toml"))
        wanted = ("check-config", "show-config", "policy")
        lines = [line for line in shown_commands(ROOT / "README.md") if line.split()[1] in wanted]
        self.assertEqual(len(lines), len(wanted))
        for line in lines:
            words = line.partition("#")[0].replace("FILE", str(path)).split()[1:]
            result = CliRunner().invoke(main, [*words, "--config", str(path)])
            self.assertEqual(result.exit_code, 0, result.output)

    def test_targets_of_make_are_there(self) -> None:
        """Every target that README and CONTRIBUTING name is one of Makefile."""
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
            named = set(re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE))
            self.assertEqual(named - targets, set(), page.name)


class ReferenceTests(SynchronousTestCase):
    """docs/configuration.md."""

    def test_it_is_what_the_code_says(self) -> None:
        """The page is made from the classes; if this fails, C{make docs} writes it anew."""
        self.patch(sys, "path", [str(ROOT / "tools"), *sys.path])
        from config_reference import reference  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

        self.assertEqual((ROOT / "docs/configuration.md").read_text(), reference())
