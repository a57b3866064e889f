"""What an administrator installs: the plugin is found from a wheel, an editable install and a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter import __version__

ROOT = Path(__file__).resolve().parent.parent
NOT_SOURCE = (".*", "_trial_temp*", "build", "dist", "var", "*.egg-info", "__pycache__", "dropin.cache", "tests")
OFFLINE = ("--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command apart from this checkout and this user, and give what it printed.

    @raise AssertionError: it failed; the text is its output.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean | {"HOME": str(cwd)} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Install:
    """A virtual environment that has our dependencies, but not us.

    It borrows the packages of the environment that runs the tests, all but what says that we are installed there.
    """

    def __init__(self, directory: Path) -> None:
        """Make it; nothing is downloaded."""
        self.directory = directory
        run(sys.executable, "-m", "venv", "--without-pip", directory, cwd=ROOT)
        borrowed = directory / "borrowed"
        borrowed.mkdir()
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if "twistedmilter" not in entry.name.lower():
                (borrowed / entry.name).symlink_to(entry)
        [site_packages] = directory.glob("lib/python*/site-packages")
        (site_packages / "borrowed.pth").write_text(f"{borrowed}\n")
        self.site_packages = site_packages

    def python(self, *arguments: str | Path, **environment: str) -> str:
        """Run its Python in its own directory."""
        return run(self.directory / "bin" / "python", *arguments, cwd=self.directory, **environment)

    def twistd_help(self, **environment: str) -> str:
        """What C{twistd --help} prints there."""
        return self.python("-m", "twisted", "--help", **environment) + self.python(
            "-c", "from twisted.scripts.twistd import run; run()", "--help", **environment
        )


def checkout(directory: Path) -> Path:
    """A copy of this checkout without what git ignores."""
    return Path(shutil.copytree(ROOT, directory, ignore=shutil.ignore_patterns(*NOT_SOURCE)))


class WheelTests(SynchronousTestCase):
    """The wheel, built without a network."""

    def build(self) -> Path:
        """The wheel of a clean copy."""
        directory = Path(self.mktemp()).resolve()
        source = checkout(directory / "source")
        (source / "twisted/plugins/dropin.cache").write_bytes(b"what Twisted leaves behind")
        run(sys.executable, "-m", "pip", "wheel", *OFFLINE, "--wheel-dir", directory, source, cwd=directory)
        [wheel] = directory.glob("*.whl")
        return wheel

    def test_content(self) -> None:
        """It has all modules, the data, the marker of types and the plugin; of Twisted's own packages nothing."""
        wheel = self.build()
        names = set(zipfile.ZipFile(wheel).namelist())
        data = {str(path.relative_to(ROOT)) for path in ROOT.glob("twistedmilter/data/*")}
        modules = {str(path.relative_to(ROOT)) for path in ROOT.glob("twistedmilter/**/*.py")}
        wanted = {"twistedmilter/py.typed", "twisted/plugins/twistedmilter_plugin.py", *data, *modules}
        self.assertEqual(wanted - names, set())
        self.assertEqual({name for name in names if name.startswith("twisted/")} - wanted, set())
        self.assertEqual({name for name in names if name.startswith("tests")}, set())

    def test_twistd_lists_the_plugin(self) -> None:
        """Where the wheel is installed, C{twistd --help} lists twistedmilter."""
        install = Install(Path(self.mktemp()).resolve())
        target = ("--target", install.site_packages)
        run(sys.executable, "-m", "pip", "install", *OFFLINE, *target, self.build(), cwd=install.directory)
        self.assertIn("twistedmilter", install.twistd_help())
        where = install.python("-c", "import twistedmilter; print(twistedmilter.__file__, twistedmilter.__version__)")
        self.assertEqual(where.split(), [f"{install.site_packages}/twistedmilter/__init__.py", __version__])


class EditableTests(SynchronousTestCase):
    """What a developer has."""

    def test_twistd_lists_the_plugin(self) -> None:
        """Where a checkout is installed editable, C{twistd --help} lists twistedmilter, from any directory."""
        install = Install(Path(self.mktemp()).resolve())
        source = checkout(install.directory / "source")
        install.python("-m", "pip", "install", *OFFLINE, "--editable", source)
        self.assertIn("twistedmilter", install.twistd_help())
        where = install.python("-c", "import twistedmilter; print(twistedmilter.__file__)")
        self.assertEqual(where.strip(), f"{source}/twistedmilter/__init__.py")


class CheckoutTests(SynchronousTestCase):
    """What git gives, with the dependencies installed and nothing else."""

    def test_twistd_lists_the_plugin(self) -> None:
        """With the checkout in PYTHONPATH, C{twistd --help} lists twistedmilter; without it, it does not."""
        install = Install(Path(self.mktemp()).resolve())
        source = checkout(install.directory / "source")
        self.assertIn("twistedmilter", install.twistd_help(PYTHONPATH=str(source)))
        self.assertNotIn("twistedmilter", install.twistd_help())

    def test_twisted_keeps_its_packages(self) -> None:
        """An __init__.py in twisted/ or twisted/plugins/ would hide Twisted itself."""
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])

    def test_the_help_loads_nothing_of_ours(self) -> None:
        """C{twistd --help} must not pay for the service, nor fail with it."""
        script = "import sys; import twisted.plugins.twistedmilter_plugin as it; it.twistedmilter; print(*sys.modules)"
        loaded = run(sys.executable, "-c", script, cwd=ROOT).split()
        self.assertEqual([name for name in loaded if name.startswith("twistedmilter")], [])


class MetadataTests(SynchronousTestCase):
    """pyproject.toml, as people and package indexes read it."""

    def test_every_import_is_a_dependency(self) -> None:
        """Only what pyproject.toml names is imported by the package, beside the standard library."""
        from tests.test_layers import sources  # noqa: PLC0415 - one test of many

        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        named = {requirement.split(">")[0].split("[")[0].lower() for requirement in project["dependencies"]}
        provided = {
            "dns": "dnspython",
            "re2": "google-re2",
            "spf": "pyspf",
            "zope": "zope.interface",
            "OpenSSL": "twisted",
        }
        foreign = {found.target.partition(".")[0] for module in sources() for found in module.imports}
        foreign -= sys.stdlib_module_names | {"twistedmilter"}
        self.assertEqual({provided.get(name, name).lower() for name in foreign} - named, set())
