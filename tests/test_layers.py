"""The architecture, read from the source: who imports whom, who may touch the world, and where no state may hide."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

PACKAGE = "twistedmilter"
ROOT = Path(__file__).resolve().parent.parent

# Lowest first.  A module imports from its own package and from rows above its own in this table; names in one row
# know nothing of each other.
ROWS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (0, ("errors",)),
    (0, ("model",)),
    (0, ("interfaces",)),
    (1, ("wire",)),
    (1, ("reputation", "blocklist", "signing", "mime", "dsn_report", "templates")),
    (2, ("policy",)),
    (3, ("access_files", "resolver_cache", "resolver_flights", "resolver_transport", "spf_query")),
    (3, ("spf_readings", "spf_networks")),
    (3, ("resolver_exchange",)),
    (3, ("resolver", "spf_driver", "observe", "configfile", "exchangers", "callback_judgement", "own_addresses")),
    (3, ("spf_steps",)),
    (3, ("store",)),
    (3, ("secret_files", "ses_numbers")),
    (3, ("signers",)),
    (4, ("callback_limits", "callback_breaker", "callback_connection", "callback_batches")),
    (4, ("callback_answers",)),
    (4, ("octet_port",)),
    (4, ("listening", "milter_sessions", "systemd", "descriptors", "state_dir")),
    (4, ("dns_batches",)),
    (4, ("dns_responder", "dns_datagrams", "dns_stream", "dns_zones", "dns_bans")),
    (4, ("dns_why", "dns_processes")),
    (4, ("callback",)),
    (4, ("lookup_protocol",)),
    (4, ("gossip_node", "gossip_patience")),
    (4, ("gossip_peers",)),
    (4, ("gossip_remote",)),
    (4, ("milter_proto", "dns_server", "gossip", "dsn", "socketmap", "web")),
    (4, ("inner_server",)),
    (4, ("control",)),
    (4, ("list_commands", "notice_commands", "dsn_queue", "dns_commands")),
    (4, ("reputation_commands",)),
    (4, ("gossip_face",)),
    (5, ("pymilter",)),
    (5, ("composition", "outbound")),
    (5, ("service",)),
    (5, ("tap",)),
    (5, ("cli",)),
)
RANKS = {name: rank for rank, (_, names) in enumerate(ROWS) for name in names}
LAYERS = {name: layer for layer, names in ROWS for name in names}

REACTOR = "twisted.internet.reactor"
MAY_FETCH_THE_REACTOR = ("tap", "cli")  # inside a function
NEVER = {"twisted.mail.smtp": "it resolves the host's name and installs the reactor when it is imported"}
WORLDLY = ("socket", "ssl", "select", "asyncio", "threading", "subprocess", "time", "random")
HARMLESS = {"socket.AF_INET", "socket.AF_INET6", "socket.inet_pton", "socket.inet_ntop"}  # words about addresses
STATE_MAKERS = ("dict", "list", "set", "deque", "defaultdict", "Counter", "OrderedDict", "WeakKeyDictionary", "count")


@dataclass(frozen=True)
class Import:
    """One imported name: C{from a import b} is C{a.b}, which may be a module or something in one.

    @ivar deferred: it stands in a function, not at the top of the module.
    @ivar typing_only: it stands under C{if TYPE_CHECKING}.
    """

    target: str
    line: int
    deferred: bool
    typing_only: bool


class Source:
    """One module of ours."""

    def __init__(self, path: Path, root: Path) -> None:
        """Read it."""
        self.path = path
        parts = path.relative_to(root).with_suffix("").parts
        self.is_package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.is_package else parts)
        self.tree = ast.parse(path.read_text())

    @property
    def row_name(self) -> str:
        """The name that the table knows it by; empty for the package itself."""
        return row_name(self.name)

    @cached_property
    def imports(self) -> list[Import]:
        """All of its imports, wherever they stand."""
        return list(self._walk(self.tree, deferred=False, typing_only=False))

    def _walk(self, node: ast.AST, *, deferred: bool, typing_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, deferred, typing_only)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(f"{self._origin(node)}.{alias.name}", node.lineno, deferred, typing_only)
        deferred = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = typing_only or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for child in ast.iter_child_nodes(node):
            yield from self._walk(child, deferred=deferred, typing_only=typing_only)

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        base = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*base, node.module] if node.module else base)


def row_name(module: str) -> str:
    """C{twistedmilter.wire.frames} is in the row of C{wire}."""
    return module.partition(".")[2].partition(".")[0]


@cache
def sources(root: Path = ROOT) -> list[Source]:
    """Every module of the package."""
    return [Source(path, root) for path in sorted((root / PACKAGE).rglob("*.py"))]


def upward_imports(modules: list[Source]) -> list[str]:
    """One line for each import that the table does not allow."""
    wrong = []
    for module in modules:
        for found in module.imports:
            target = row_name(found.target)
            if not found.target.startswith(f"{PACKAGE}.") or target in {module.row_name, "__version__"}:
                continue
            if RANKS.get(target, len(ROWS)) >= RANKS.get(module.row_name, -1):
                layers = f"L{LAYERS.get(module.row_name, '?')} imports L{LAYERS.get(target, '?')}"
                wrong.append(f"{module.name}:{found.line} {layers}: {found.target}")
    return wrong


def cycle(modules: list[Source]) -> list[str]:
    """The modules of one import cycle, or nothing."""
    names = {module.name for module in modules}
    graph: dict[str, set[str]] = {}
    for module in modules:
        targets = [found.target for found in module.imports if not (found.deferred or found.typing_only)]
        wanted = {name for target in targets for name in (target, target.rpartition(".")[0]) if name in names}
        # a package and what is in it: Python allows for that one
        graph[module.name] = {name for name in wanted if not module.name.startswith(name)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


class LayerTests(SynchronousTestCase):
    """Imports point one way."""

    def test_every_module_has_a_row(self) -> None:
        """A module that the table does not know has no place yet: give it one here and in the design."""
        unknown = [module.name for module in sources() if module.row_name not in {*RANKS, ""}]
        self.assertEqual(unknown, [])

    def test_imports_point_down(self) -> None:
        """No module imports from a row that is not above its own in the table."""
        self.assertEqual(upward_imports(sources()), [])

    def test_there_is_no_cycle(self) -> None:
        """No two modules need each other, in one package or in several."""
        self.assertEqual(cycle(sources()), [])

    def test_the_package_itself_imports_nothing(self) -> None:
        """Whoever imports one value of ours does not load the rest."""
        [package] = [module for module in sources() if not module.row_name]
        self.assertEqual(package.imports, [])

    def test_the_codecs_know_nothing_of_twisted(self) -> None:
        """The wire is octets in, values out, for any event loop."""
        found = [
            f"{module.name}:{found.line} {found.target}"
            for module in sources()
            if module.row_name in {"errors", "model", "wire"}
            for found in module.imports
            if found.target.startswith("twisted.")
        ]
        self.assertEqual(found, [])


class WorldTests(SynchronousTestCase):
    """The reactor, the clock and chance are arguments."""

    def test_the_reactor_is_an_argument(self) -> None:
        """Only the twistd plugin and the commands fetch the reactor, inside the function that needs it."""
        found = [
            f"{module.name}:{found.line}"
            for module in sources()
            for found in module.imports
            if found.target == REACTOR and not (found.deferred and module.row_name in MAY_FETCH_THE_REACTOR)
        ]
        self.assertEqual(found, [])

    def test_modules_that_do_harm_are_not_imported(self) -> None:
        """What has effects on import stays out."""
        found = [
            f"{module.name}:{found.line} {name}: {why}"
            for module in sources()
            for found in module.imports
            for name, why in NEVER.items()
            if found.target == name or found.target.startswith(f"{name}.")
        ]
        self.assertEqual(found, [])

    def test_time_and_chance_come_in_as_arguments(self) -> None:
        """Below the third layer nothing reads a clock, draws a number or opens a socket by itself."""
        found = [
            f"{module.name}:{found.line} {found.target}"
            for module in sources()
            if LAYERS.get(module.row_name, 0) < 3
            for found in module.imports
            if found.target.partition(".")[0] in WORLDLY and found.target not in HARMLESS
        ]
        self.assertEqual(found, [])

    def test_importing_everything_installs_no_reactor(self) -> None:
        """What the source says is true of what it imports, too: no reactor is installed by an import."""
        names = [module.name for module in sources()]
        script = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        script += f"sys.exit({REACTOR!r} in sys.modules)"
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.returncode, 0)


class StateTests(SynchronousTestCase):
    """A module holds definitions and tables, not state."""

    def test_there_is_no_global_statement(self) -> None:
        """No function changes what its module holds."""
        found = [
            f"{module.name}:{node.lineno}"
            for module in sources()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Global)
        ]
        self.assertEqual(found, [])

    def test_no_module_holds_an_empty_container(self) -> None:
        """A container that is empty when its module is loaded is there to be filled: it belongs in an object.

        An empty table is marked C{Final}.
        """
        found = [
            f"{module.name}:{node.lineno}"
            for module in sources()
            for node in module.tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and is_empty_container(node.value)
            if not (isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).startswith("Final"))
        ]
        self.assertEqual(found, [])


def is_empty_container(node: ast.expr | None) -> bool:
    """Whether an expression makes a mutable container with nothing in it."""
    if isinstance(node, ast.List):
        return not node.elts
    if isinstance(node, ast.Dict):
        return not node.keys
    if isinstance(node, ast.Call) and not (node.args or node.keywords):
        return ast.unparse(node.func).rpartition(".")[2] in STATE_MAKERS
    return False


class ReaderTests(SynchronousTestCase):
    """The reader of imports itself: a test that sees nothing would pass for ever."""

    def tree(self, **modules: str) -> list[Source]:
        """Modules of a package with this text; C{wire__frames} is C{wire/frames.py}."""
        root = Path(self.mktemp())
        for name, text in modules.items():
            path = root / PACKAGE / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return sources(root)

    def test_an_upward_import_is_seen(self) -> None:
        """In every spelling, in a function, and for typing only."""
        for text in (
            "from twistedmilter.policy import chain",
            "import twistedmilter.policy.chain",
            "from ..policy.chain import CheckChain",
            "from .. import policy",
            "def f():\n    from twistedmilter.policy.chain import CheckChain",
            "if TYPE_CHECKING:\n    from twistedmilter.policy.chain import CheckChain",
            "from twistedmilter import nobody_knows_it",
        ):
            with self.subTest(text):
                self.assertEqual(len(upward_imports(self.tree(wire__frames=text))), 1)

    def test_a_downward_import_is_allowed(self) -> None:
        """As is one from the module's own package."""
        tree = self.tree(
            policy__chain="from twistedmilter.policy.wants import Wants\nfrom twistedmilter.model import verdict",
            interfaces__dns="from ..errors import TemporaryFailure\nfrom . import stores\nimport re",
        )
        self.assertEqual(upward_imports(tree), [])

    def test_a_cycle_is_seen(self) -> None:
        """Between two modules of one package; what is imported later or for typing only is none."""
        self.assertEqual(
            set(cycle(self.tree(wire__a="from .b import B", wire__b="from twistedmilter.wire import a"))),
            {"twistedmilter.wire.a", "twistedmilter.wire.b"},
        )
        later = "def f():\n    from .a import A"
        self.assertEqual(cycle(self.tree(wire__a="from .b import B", wire__b=later)), [])
