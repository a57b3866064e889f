"""Reads C{tests/sessions/*.session}: SMTP scripts with the answers they expect (format: tests/sessions/README.md)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

INDENT = "    "
RUNNERS = frozenset({"memory", "postfix", "sendmail"})
ROLES = frozenset({"inbound", "submission", "reinjection"})
FATES = frozenset({"delivered", "held", "discarded"})
_FILE_NAME = re.compile(r"[a-z0-9_]+")
_CODE = re.compile(r"[245][0-9x]{2}")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_REPEAT = re.compile(r"@\{(\d+)\*(.*?)\}", re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


class SessionFileError(Exception):
    """A session file that cannot be understood; the text names the file and the line."""


@dataclass(frozen=True, slots=True)
class Expect:
    """What a reply must be.

    @ivar code: three digits, C{x} for any; @ivar status: enhanced status code, or empty for any.
    @ivar reason: reason code in the record of the transaction, or empty.
    @ivar text: glob on the whole reply text, lines joined by a blank, or empty.
    @ivar only: the runner it is for, or empty for all; one for a runner wins over one for all.
    """

    line: int
    code: str
    status: str = ""
    reason: str = ""
    text: str = ""
    only: str = ""


@dataclass(frozen=True, slots=True)
class Assertion:
    """What must hold of the delivered message or the record.

    @ivar kind: C{HEADER}, C{NOHEADER}, C{RECORD}, C{NORECORD} or C{FATE}.
    @ivar name: field name, or dotted key of the record. @ivar pattern: glob, case counts.
    @ivar index: position of the field in the delivered message, 0 first; None is anywhere.
    """

    line: int
    kind: str
    name: str
    pattern: str
    index: int | None = None
    only: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the SMTP client, or one event (KILL, SHUTDOWN, WAIT), with all that is expected of it.

    @ivar argument: the rest of the line; @ivar content: octets of the message (DATA and SUBMIT).
    @ivar inner: the steps that are sent without waiting (PIPELINE only).
    """

    line: int
    verb: str
    argument: str = ""
    content: bytes = b""
    inner: tuple[Step, ...] = ()
    expects: tuple[Expect, ...] = ()
    assertions: tuple[Assertion, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """One session file.

    @ivar title: its first comment: the promise it tests. @ivar config: TOML, merged over the test default.
    @ivar zone: master file text. @ivar only: the runners it can be replayed by; @ivar why: why not by all.
    @ivar files: name and text of each file beside the configuration.
    """

    name: str
    title: str
    steps: tuple[Step, ...]
    config: str = ""
    zone: str = ""
    role: str = "inbound"
    only: frozenset[str] = RUNNERS
    why: str = ""
    files: tuple[tuple[str, str], ...] = ()


def expand(text: str) -> bytes:
    r"""The octets of a DATA block: C{@{3*text}} repeats, C{\xNN \n \r \t \\} escape, line ends are CRLF."""
    text = "\r\n".join(text.split("\n"))
    text = _ESCAPE.sub(_unescape, text)
    text = _REPEAT.sub(lambda match: match[2] * int(match[1]), text)
    return text.encode("utf-8", "surrogateescape")


def _unescape(match: re.Match[str]) -> str:
    word = match[1]
    if word[0] == "x" and len(word) == 3:
        return bytes([int(word[1:], 16)]).decode("utf-8", "surrogateescape")
    return _ESCAPES.get(word, match[0])


class _Reader:
    """Lines with their numbers, and the indented block below a directive."""

    def __init__(self, name: str, lines: list[tuple[int, str]]) -> None:
        self.name = name
        self._lines = lines
        self._next = 0

    def fail(self, line: int, problem: str) -> SessionFileError:
        return SessionFileError(f"{self.name}:{line}: {problem}")

    def directives(self) -> Iterator[tuple[int, str]]:
        """Each line at the left margin that is neither empty nor a comment."""
        while self._next < len(self._lines):
            number, text = self._lines[self._next]
            self._next += 1
            if text.startswith((" ", "\t")):
                raise self.fail(number, "an indented line belongs to no block")
            if text and not text.startswith("#"):
                yield number, text

    def block(self) -> list[tuple[int, str]]:
        """The indented lines that follow, without their indent; empty lines inside are kept."""
        found: list[tuple[int, str]] = []
        while self._next < len(self._lines):
            number, text = self._lines[self._next]
            if text and not text.startswith(INDENT):
                break
            found.append((number, text[len(INDENT) :]))
            self._next += 1
        while found and not found[-1][1]:
            found.pop()
        return found


_WITH_ARGUMENT = frozenset({"CONNECT", "HELO", "EHLO", "AUTH", "MAIL", "RCPT", "SUBMIT", "WAIT"})
_WITHOUT_ARGUMENT = frozenset({"RSET", "KILL", "QUIT", "SHUTDOWN", "PIPELINE"})
_ASSERTIONS = frozenset({"HEADER", "NOHEADER", "RECORD", "NORECORD", "FATE"})
_HEADER = re.compile(r"(?:\[(\d+)\] )?([!-9;-~]+)(?::(?: (.*))?)?")


@dataclass(frozen=True, slots=True)
class _Line:
    """One line below a command: C{VERB[@RUNNER] ARGUMENT}."""

    number: int
    verb: str
    only: str
    argument: str


# directives that take one word or none, and the words
_OPTIONS = {"DATA": ("unfinished", "unanswered"), "STARTTLS": ("certificate",)}


def _step(reader: _Reader, line: _Line) -> Step:
    """A command; those with a block take it from the reader."""
    _check_argument(reader, line)
    number, verb, argument = line.number, line.verb, line.argument
    if verb == "PIPELINE":
        inner = _steps(_Reader(reader.name, reader.block()))
        if any(step.verb == "DATA" for step in inner[:-1]):
            raise reader.fail(number, "DATA can only be the last command of a PIPELINE")
        return Step(number, verb, inner=inner)
    if verb in ("DATA", "SUBMIT"):
        return Step(number, verb, argument, _message(reader))
    return Step(number, verb, argument)


def _check_argument(reader: _Reader, line: _Line) -> None:
    verb, argument = line.verb, line.argument
    if verb in _OPTIONS:
        if argument not in ("", *_OPTIONS[verb]):
            words = " or ".join(map(repr, _OPTIONS[verb]))
            raise reader.fail(line.number, f"{verb} takes nothing or {words}, not {argument!r}")
        return
    if verb not in _WITH_ARGUMENT | _WITHOUT_ARGUMENT:
        raise reader.fail(line.number, f"unknown directive {verb}")
    if bool(argument) is not (verb in _WITH_ARGUMENT):
        raise reader.fail(line.number, f"{verb} takes {'an' if verb in _WITH_ARGUMENT else 'no'} argument")
    if verb == "CONNECT":
        _check_address(reader, line.number, argument.split()[0])
    if verb == "WAIT" and not argument.isdecimal():
        raise reader.fail(line.number, "WAIT takes whole seconds")
    if verb == "SUBMIT" and len(argument.split()) != 2:
        raise reader.fail(line.number, "SUBMIT <sender> <recipient>")


def _message(reader: _Reader) -> bytes:
    return expand("".join(f"{text}\n" for _, text in reader.block()))


def _check_address(reader: _Reader, line: int, address: str) -> None:
    try:
        ip_address(address)
    except ValueError as problem:
        raise reader.fail(line, str(problem)) from problem


def _expect(reader: _Reader, line: _Line) -> Expect:
    argument, _, text = f" {line.argument}".partition(" text=")
    words = argument.split()
    reason = words.pop().removeprefix("reason=") if words and words[-1].startswith("reason=") else ""
    status = words.pop() if len(words) == 2 else ""
    if len(words) != 1 or not _CODE.fullmatch(words[0]) or (status and not _STATUS.fullmatch(status)):
        raise reader.fail(line.number, "EXPECT code [enhanced] [reason=CODE] [text=GLOB]")
    return Expect(line.number, words[0], status, reason, text, line.only)


def _assertion(reader: _Reader, line: _Line) -> Assertion:
    if line.verb == "FATE":
        if line.argument not in FATES:
            raise reader.fail(line.number, f"FATE is one of {', '.join(sorted(FATES))}")
        return Assertion(line.number, line.verb, "fate", line.argument, None, line.only)
    if line.verb in ("RECORD", "NORECORD"):
        name, _, pattern = line.argument.partition(" ")
        return Assertion(line.number, line.verb, name, pattern.strip() or "*", None, line.only)
    match = _HEADER.fullmatch(line.argument)
    if match is None:
        raise reader.fail(line.number, f"{line.verb} [[index]] Name: GLOB")
    index = int(match[1]) if match[1] else None
    pattern = _ESCAPE.sub(_unescape, match[3] or "*")
    return Assertion(line.number, line.verb, match[2], pattern, index, line.only)


def _steps(reader: _Reader) -> tuple[Step, ...]:
    steps: list[Step] = []
    for number, text in reader.directives():
        head, _, argument = text.partition(" ")
        verb, _, only = head.partition("@")
        if only and only not in RUNNERS:
            raise reader.fail(number, f"{only} is no runner: {', '.join(sorted(RUNNERS))}")
        line = _Line(number, verb, only, argument.strip())
        if verb not in _ASSERTIONS and verb != "EXPECT":
            steps.append(_step(reader, line))
        elif steps:
            steps[-1] = _judged(reader, steps[-1], line)
        else:
            raise reader.fail(number, f"{verb} follows no command")
    return tuple(steps)


def _judged(reader: _Reader, step: Step, line: _Line) -> Step:
    if line.verb != "EXPECT":
        return replace(step, assertions=(*step.assertions, _assertion(reader, line)))
    if step.verb == "PIPELINE":
        raise reader.fail(line.number, "EXPECT belongs inside the PIPELINE block, after its command")
    return replace(step, expects=(*step.expects, _expect(reader, line)))


@dataclass(slots=True)
class _Preamble:
    """What stands before the first command."""

    config: str = ""
    zone: str = ""
    role: str = "inbound"
    only: frozenset[str] = RUNNERS
    why: str = ""
    files: tuple[tuple[str, str], ...] = ()


def _only(reader: _Reader, line: int, argument: str) -> tuple[frozenset[str], str]:
    words, _, why = argument.partition(" -- ")
    only = frozenset(words.split())
    if not only or not only <= RUNNERS or not why:
        raise reader.fail(line, "ONLY runner... -- reason")
    return only, why.strip()


def _preamble(reader: _Reader, rest: list[tuple[int, str]]) -> _Preamble:
    """Take CONFIG, FILE, ZONE, ROLE and ONLY; all other lines go to C{rest}, with their blocks."""
    found = _Preamble()
    for line, text in reader.directives():
        verb, _, argument = text.partition(" ")
        if verb == "CONFIG":
            found.config = _block_text(reader)
            _check_toml(reader, line, found.config)
        elif verb == "FILE":
            found.files = (*found.files, (_file_name(reader, line, argument), _block_text(reader)))
        elif verb == "ZONE":
            found.zone = _block_text(reader)
        elif verb == "ROLE":
            found.role = argument
            if argument not in ROLES:
                raise reader.fail(line, f"ROLE is one of {', '.join(sorted(ROLES))}")
        elif verb == "ONLY":
            found.only, found.why = _only(reader, line, argument)
        else:
            rest.append((line, text))
            rest.extend((number, INDENT + text if text else text) for number, text in reader.block())
    return found


def _block_text(reader: _Reader) -> str:
    return "\n".join(text for _, text in reader.block())


def _file_name(reader: _Reader, line: int, argument: str) -> str:
    if _FILE_NAME.fullmatch(argument) is None:
        raise reader.fail(line, "FILE name, of small letters, digits and _")
    return argument


def _check_toml(reader: _Reader, line: int, text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise reader.fail(line, f"CONFIG: {problem}") from problem


def parse_session(name: str, text: str) -> Session:
    """The session of one file.

    @param name: the file's name, for error messages; without C{.session} it is the session's name.
    @raise SessionFileError: something in it cannot be understood.
    """
    lines = [(number, line.rstrip()) for number, line in enumerate(text.split("\n"), 1)]
    title = next((line.lstrip("# ") for _, line in lines if line.startswith("#")), "")
    if not title:
        raise SessionFileError(f"{name}:1: the first line is a comment that says what the session promises")
    rest: list[tuple[int, str]] = []
    preamble = _preamble(_Reader(name, lines), rest)
    steps = _steps(_Reader(name, rest))
    if not steps or steps[0].verb not in ("CONNECT", "SUBMIT"):
        raise SessionFileError(f"{name}:{steps[0].line if steps else 1}: the first command is CONNECT or SUBMIT")
    return Session(
        name.removesuffix(".session"),
        title,
        steps,
        preamble.config,
        preamble.zone,
        preamble.role,
        preamble.only,
        preamble.why,
        preamble.files,
    )


def read_sessions(directory: Path) -> list[Session]:
    """All sessions of a directory, by name.

    @raise SessionFileError: one of them cannot be understood.
    """
    return [parse_session(path.name, path.read_text("utf-8")) for path in sorted(directory.glob("*.session"))]
