"""The file of an access map: as text or compiled, read anew when it changes (seed-spec F01, F05)."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final

from twisted.logger import Logger

from twistedmilter.errors import ConfigError, ConfigProblem
from twistedmilter.policy.access import AccessMap
from twistedmilter.policy.followed_files import FollowedFiles
from twistedmilter.wire import cdb

TOOL_TIMEOUT: Final = 30.0  # seconds
MAX_SIZE: Final = 64 * 2**20  # octets
_SUFFIXES: Final[Mapping[str, str]] = {".db": "hash", ".cdb": "cdb"}
_KINDS: Final[Mapping[str, str]] = {"text": "", "hash": ".db", "cdb": ".cdb"}
_SBIN: Final = "/usr/sbin:/sbin:/usr/local/sbin:/usr/libexec/sendmail"  # not on the path of most daemons
_log = Logger()


class UnreadableMapError(Exception):
    """An access map cannot be read now; the text says why."""


@dataclass(frozen=True, slots=True)
class AccessSpec:
    """Which file, and of which kind.

    @ivar kind: C{text}, C{hash} or C{cdb}. @ivar path: the file itself, with its suffix.
    """

    kind: str
    path: Path

    @classmethod
    def parse(cls, text: str, base_dir: Path) -> AccessSpec:
        """The file of C{[policy] access}.

        @param text: a path, where C{.db} and C{.cdb} tell the kind; or C{hash:}, C{cdb:} or C{text:} and a path, which
            as with sendmail and Postfix need not have the suffix.
        """
        kind, colon, path = text.strip().partition(":")
        if not colon or kind not in _KINDS:
            whole = base_dir / text.strip()
            return cls(_SUFFIXES.get(whole.suffix, "text"), whole)
        suffix = _KINDS[kind]
        return cls(kind, base_dir / (path if path.endswith(suffix) else path + suffix))


def read_map(spec: AccessSpec) -> AccessMap:
    """The entries of a file; it waits for the disk, and for the tools of an MTA.

    @raise UnreadableMapError: the file or its kind cannot be read; a line that cannot is a problem of the map.
    """
    try:
        seen = spec.path.stat()
        if not S_ISREG(seen.st_mode):  # reading from a pipe would wait for ever
            raise UnreadableMapError(f"{spec.path} cannot be read: it is no file")
        if seen.st_size > MAX_SIZE:
            raise UnreadableMapError(f"{spec.path} is longer than {MAX_SIZE} octets")
        if spec.kind == "hash":
            return AccessMap.of_pairs(_hash_pairs(spec.path), str(spec.path))
        octets = spec.path.read_bytes()
    except OSError as error:
        raise UnreadableMapError(f"{spec.path} cannot be read: {error.strerror or error}") from error
    if spec.kind == "text":
        return AccessMap.parse(_text(octets), str(spec.path))
    try:
        pairs = [(_text(key), _text(data)) for key, data in cdb.records(octets)]
    except ValueError as error:
        raise UnreadableMapError(f"{spec.path}: {error}") from error
    return AccessMap.of_pairs(pairs, str(spec.path))


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _hash_pairs(path: Path) -> list[tuple[str, str]]:
    """What a hash file holds, told by makemap, else postmap, else the module berkeleydb.

    @raise UnreadableMapError: none of them is there, or the one that is cannot read it.
    """
    path.open("rb").close()  # that we may not read it is told in our own words
    where = f"{os.environ.get('PATH', os.defpath)}:{_SBIN}"
    base = str(path.with_suffix(""))
    for tool, arguments in (("makemap", ("-C", "/dev/null", "-u", "hash", base)), ("postmap", ("-s", f"hash:{base}"))):
        program = shutil.which(tool, path=where)
        if program is not None:
            return [_split(line) for line in _output(program, arguments, path).split("\n") if line]
    try:
        berkeleydb = importlib.import_module("berkeleydb")
    except ImportError:
        needs = "makemap of sendmail, postmap of Postfix or the module berkeleydb (twistedmilter[bdb])"
        raise UnreadableMapError(f"{path} needs {needs}; or name the text file") from None
    return list(_database_pairs(berkeleydb.db, path))


def _split(line: str) -> tuple[str, str]:
    key, _, word = line.partition("\t")
    return key, word


def _output(program: str, arguments: tuple[str, ...], path: Path) -> str:
    try:
        # the program is one of two names, and no shell reads the arguments
        done = subprocess.run(  # noqa: S603
            [program, *arguments], capture_output=True, check=False, timeout=TOOL_TIMEOUT, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise UnreadableMapError(f"{path}: {program} took longer than {TOOL_TIMEOUT:g} s") from None
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise UnreadableMapError(f"{path}: {program} failed with {done.returncode}: {said:.200}")
    return _text(done.stdout)


def _database_pairs(db: Any, path: Path) -> Iterator[tuple[str, str]]:
    database = db.DB()
    try:
        database.open(str(path), dbtype=db.DB_HASH, flags=db.DB_RDONLY)
        for key, word in database.items():
            yield _text(key), _text(word)
    except db.DBError as error:
        raise UnreadableMapError(f"{path}: {error}") from None
    finally:
        database.close()


class AccessFile:
    """An access map that follows its file.

    What is wrong with a new file is logged once, and the map that was read before stays.
    """

    def __init__(self, spec: AccessSpec, reactor: Any) -> None:
        """Read the file for the first time.

        @param reactor: has timers and threads.
        @raise UnreadableMapError: it cannot be read.
        """
        self.spec = spec
        self._reactor = reactor
        self._files = FollowedFiles(
            [spec.path],
            partial(read_map, spec),
            unreadable=UnreadableMapError,
            changed=self._changed,
            failed=self._failed,
        )

    def current(self) -> AccessMap:
        """The map as it was read last."""
        return self._files.current

    def start(self) -> None:
        """Look at the file now and then; what was odd about the first reading is for the caller to tell."""
        self._files.start(self._reactor)

    def stop(self) -> None:
        """Look no more."""
        self._files.stop()

    def _changed(self, new: AccessMap) -> None:
        _log.info("access map {path} read again: {count} entries", path=str(self.spec.path), count=len(new.entries))
        for problem in new.problems:
            _log.warn("access map {problem}", problem=str(problem))

    def _failed(self, trouble: str) -> None:
        _log.error("{trouble}; the access map that was read before stays", trouble=trouble)


def open_access(text: str, base_dir: Path, reactor: Any, source: str) -> AccessFile | None:
    """The access map of C{[policy] access}, read once and not yet followed; None if it names none.

    @param base_dir: where a relative path begins. @param source: the configuration, for the error.
    @raise ConfigError: it cannot be read.
    """
    if not text.strip():
        return None
    try:
        return AccessFile(AccessSpec.parse(text, base_dir), reactor)
    except UnreadableMapError as error:
        raise ConfigError(source, [ConfigProblem("policy.access", str(error))]) from error
