"""Files of secrets: one a line, the newest first, for us and nobody else (gossip-srs-dns-spec case 28, reliability S4).

A line is a secret, or the day on which it was made, a blank, and the secret.  Of two secrets with a day the older was
retired on the day of the newer.  Empty lines and lines that begin with C{#} are comments.
"""

from __future__ import annotations

import os
import re
import stat
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from twistedmilter.signing.keys import KeyRing, Secret

MIN_OCTETS: Final = 16
MIN_DIFFERENT: Final = 6  # octets
NEW_OCTETS: Final = 32  # of a secret that we make, before it is written in base 64
MAX_SECRETS: Final = 10  # each costs a hash for every address that is looked at
MAX_SIZE: Final = 65_536  # octets
_DATED: Final = re.compile(rb"([0-9]{4}-[0-9]{2}-[0-9]{2}) (\S+)")
_HEAD: Final = """\
# Secrets of twistedmilter, the newest first: the first signs, all verify.
# Nobody else on this host may read this file. An older one may be removed when what it signed is no longer good.
"""


class SecretFileError(Exception):
    """A file of secrets cannot be used; the text says why, and never quotes it."""


def parse_secrets(octets: bytes) -> KeyRing:
    """The secrets of a file.

    @raise SecretFileError: there is none, or one that can be guessed.
    """
    secrets: list[Secret] = []
    retired: float | None = None
    for number, line in enumerate(octets.splitlines(), 1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        dated = _DATED.fullmatch(text)
        secret = dated[2] if dated is not None else text
        _judge(secret, number)
        secrets.append(Secret(secret, retired if secrets else None))
        retired = _moment(dated[1].decode("ascii"), number) if dated is not None else None
    if not secrets:
        raise SecretFileError("there is no secret in it")
    if len(secrets) > MAX_SECRETS:
        raise SecretFileError(f"there are more than {MAX_SECRETS} secrets in it")
    return KeyRing(tuple(secrets))


def read_secrets(path: Path) -> KeyRing:
    """The secrets of a file that only we, root and its group can read.

    @raise FileNotFoundError: it is not there.
    @raise SecretFileError: it cannot be read, others can read it or write to it, or its secrets are none.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SecretFileError(f"it cannot be read: {error.strerror}") from error
    try:
        for wrong in _wrong_rights(os.fstat(descriptor)):
            raise SecretFileError(wrong)
        return parse_secrets(os.read(descriptor, MAX_SIZE))
    finally:
        os.close(descriptor)


def add_secret(path: Path, random_octets: Callable[[int], bytes], now: float) -> Secret:
    """Put a new secret before those of a file, which is made if it is not there, and keeps its owner and rights.

    @param now: wall clock. [seconds]
    @raise SecretFileError: what is there cannot be used.
    @raise OSError: it cannot be written.
    """
    try:
        read_secrets(path)
        before, status = path.read_text("utf-8", "surrogateescape"), path.stat()
    except FileNotFoundError:
        before, status = "", None
    secret = urlsafe_b64encode(random_octets(NEW_OCTETS)).rstrip(b"=")
    day = datetime.fromtimestamp(now, UTC).date().isoformat()
    text = f"{_HEAD}{day} {secret.decode('ascii')}\n{before.removeprefix(_HEAD)}"
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        if status is not None:
            os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    draft.rename(path)
    return Secret(secret)


def _judge(secret: bytes, number: int) -> None:
    """Refuse what is no secret."""
    if len(secret) < MIN_OCTETS or len(set(secret)) < MIN_DIFFERENT:
        raise SecretFileError(f"line {number} is no secret: at least {MIN_OCTETS} octets that nobody can guess")
    if secret[:1] in (b'"', b"'") and secret[-1:] == secret[:1]:
        raise SecretFileError(f"line {number} stands in quotes, which would be part of the secret: take them off")


def _moment(day: str, number: int) -> float:
    try:
        return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise SecretFileError(f"line {number} begins with a day that there is not") from None


def _wrong_rights(status: os.stat_result) -> Iterator[str]:
    """Why a file is not for us alone."""
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        yield "it is no file"
    if mode & 0o007 or mode & 0o020:
        yield f"its mode is {mode:04o}: others can read it or write to it; allowed are 0600 and 0640"
    if status.st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
        yield "it belongs to another user"
    if status.st_size > MAX_SIZE:
        yield f"it is longer than {MAX_SIZE} octets"
