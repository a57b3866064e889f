"""From the configuration and the files of secrets to what signs and verifies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from twistedmilter.errors import ConfigError, ConfigProblem
from twistedmilter.model.address import Mailbox
from twistedmilter.model.settings import Settings
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.secret_files import SecretFileError, read_secrets
from twistedmilter.ses_numbers import SESNumbers
from twistedmilter.signing.batv import BATV
from twistedmilter.signing.keys import KeyRing, Secret
from twistedmilter.signing.rewriting import BATVDomains, Rewriter, SESDomains, SRSDomains
from twistedmilter.signing.ses import SES
from twistedmilter.signing.srs import SRS
from twistedmilter.signing.srs_hash import SRSHash

_log = Logger()
NUMBERS_FILE: Final = "ses.numbers"  # in the state directory


@dataclass(frozen=True, slots=True)
class Signers:
    """What signs and verifies here.

    @ivar rewriter: None if there is no secret for anything.
    @ivar missing: one sentence for each secret that is not there; what it was for is off.
    """

    rewriter: Rewriter | None
    missing: tuple[str, ...] = ()


def make_signers(settings: Settings, base_dir: Path, state_dir: Path, source: str = "configuration") -> Signers:
    """Read the secrets and put together what they are for.

    @param base_dir: where relative paths begin. @param source: of the settings, for errors.
    @raise ConfigError: a file of secrets is there and cannot be used.
    """
    files = _Files(base_dir)
    srs, ses, batv = _srs(settings, files), _ses(settings, files, state_dir), _batv(settings, files)
    if files.problems:
        raise ConfigError(source, files.problems)
    if srs is None and ses is None and batv is None:
        return Signers(None, tuple(files.missing))
    rewriter = Rewriter(
        srs=srs,
        ses=ses,
        batv=batv,
        is_local=_local_domains(settings, base_dir),
        exempt_hosts=frozenset(settings.srs.exempt_hosts),
    )
    return Signers(rewriter, tuple(files.missing))


class _Files:
    """Reads files of secrets and collects what is wrong with them."""

    def __init__(self, base_dir: Path) -> None:
        self._base_dir = base_dir
        self.problems: list[ConfigProblem] = []
        self.missing: list[str] = []

    def read(self, key: str, name: str, purpose: str) -> KeyRing | None:
        """The secrets of a file; None if it is not there or cannot be used."""
        path = self._base_dir / name
        try:
            return read_secrets(path)
        except FileNotFoundError:
            made = f"twistedmilter secret new {path}"
            self.missing.append(f"{key}: there is no {path}, so {purpose}; {made} makes one")
        except SecretFileError as error:
            self.problems.append(ConfigProblem(key, f"{path}: {error}"))
        return None


def _srs(settings: Settings, files: _Files) -> SRSDomains | None:
    section = settings.srs
    if not (section.forward_domain or section.sign_domains or section.reverse_domains):
        return None
    keys = files.read("srs.secret_file", section.secret_file, "no sender is rewritten and none reversed")
    if keys is None:
        return None
    form = SRSHash(
        keys=keys,
        length=section.hash_length,
        minimum=section.hash_minimum,
        max_age=section.max_age_days,
        legacy=section.hash == "legacy",
        legacy_until=_end_of(section.legacy_until),
    )
    return SRSDomains(
        srs=SRS(hash=form, separator=section.separator, max_local_part=section.max_local_part),
        forward=section.forward_domain,
        sign=frozenset(section.sign_domains),
        others=frozenset(section.reverse_domains),
    )


def _end_of(day: str) -> float:
    """The end of a day, UTC; 0 of none."""
    if not day:
        return 0.0
    return datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(), UTC).timestamp()


def _ses(settings: Settings, files: _Files, state_dir: Path) -> SESDomains | None:
    section, room = settings.ses, settings.srs.max_local_part
    if not section.domains:
        return None
    keys = files.read("ses.secret_file", section.secret_file or settings.srs.secret_file, "ses.domains are not signed")
    if keys is None:
        return None
    fixed = {sender.lower(): number for sender, number in section.fixed.items()}
    return SESDomains(
        ses=SES(keys=keys, days=section.days, fixed_senders=frozenset(fixed), max_local_part=room),
        sign=frozenset(section.domains),
        next_number=SESNumbers(
            state_dir / NUMBERS_FILE,
            lambda told: _log.error("{told}", told=told),
            servers=section.servers,
            server=section.server,
        ),
        fixed=fixed,
    )


def _batv(settings: Settings, files: _Files) -> BATVDomains | None:
    section = settings.batv
    if not section.domains:
        return None
    keys: dict[int, Secret] = {}
    for number, name in section.key_files.items():
        ring = files.read(f"batv.key_files.{number}", name, f"the key {number} of BATV is not there")
        if ring is not None:
            keys[int(number)] = ring.signing
    if section.signing_key not in keys:
        return None
    batv = BATV(
        keys=keys,
        signing_key=section.signing_key,
        days=section.days,
        fold_domain=section.fold_domain,
        max_local_part=settings.srs.max_local_part,
    )
    return BATVDomains(batv=batv, sign=frozenset(section.domains))


def _local_domains(settings: Settings, base_dir: Path) -> Callable[[str], bool]:
    """Whether senders of a domain are our own."""
    own = AddressSet.parse([*settings.networks.internal_domains, *settings.srs.local_domains], base_dir)
    return lambda domain: own.match(Mailbox(f"@{domain}", "", domain)) is not None
