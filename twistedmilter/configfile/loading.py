"""One way from a path, or from none, to settings that can be used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from twistedmilter.configfile.conversion import convert
from twistedmilter.configfile.origins import Origin, origins_of
from twistedmilter.configfile.paths import with_absolute_paths
from twistedmilter.configfile.reading import RawConfig, UnreadableConfigError, read_config
from twistedmilter.configfile.semantics import BUILT_IN_CHECKS, semantic_problems
from twistedmilter.errors import ConfigError, ConfigProblem
from twistedmilter.model.dns_server_settings import shipped_zones
from twistedmilter.model.settings import Settings, shipped_rules

DEFAULT_PATH = "/etc/twistedmilter/twistedmilter.toml"
EMBEDDED = "embedded defaults"
CLASSIFIER = "trusted_client"  # tells the other checks who is internal, a relay of ours or authenticated


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where they come from.

    @ivar settings: relative paths in it are made absolute, and the shipped rules are in it.
    @ivar source: the absolute path of the file, or L{EMBEDDED}.
    @ivar origins: for each key as written in TOML, C{file} or C{default}.
    @ivar base_dir: where relative paths start: the directory of the file, or the working directory.
    @ivar warnings: what is odd about the file, one sentence each.
    """

    settings: Settings
    source: str
    origins: Mapping[str, Origin]
    base_dir: Path
    warnings: tuple[str, ...] = ()


def load_settings(
    path: str | None,
    *,
    default_path: str = DEFAULT_PATH,
    known_checks: Collection[str] = BUILT_IN_CHECKS,
    unusable: Callable[[str], str] = lambda _check: "",
) -> Loaded:
    """The settings of a file, or the embedded defaults if no path is given and C{default_path} does not exist.

    @param known_checks: names that may stand in C{policy.checks} beside C{module:Class}.
    @param unusable: why the check of a third party cannot be had, or the empty text; it may import it.
    @raise ConfigError: all that is wrong with it, in the order of the file.
    """
    return from_raw(_read(path, default_path), known_checks, unusable)


def load_sections(path: str | None, *sections: str, default_path: str = DEFAULT_PATH) -> Loaded:
    """As L{load_settings} for a command that needs some sections only, such as the way to a service that runs.

    That service has its configuration; what has gone wrong elsewhere since must not keep anybody from asking it.

    @return: keys with a problem have their default.
    @raise ConfigError: what is wrong with these sections, or with the file as a whole.
    """
    raw = _read(path, default_path)
    converted = convert(raw.tables)
    wanted = ("file", *sections)
    problems = [each for each in converted.problems if each.where.partition(".")[0] in wanted]
    if problems:
        raise ConfigError(raw.source, problems)
    base_dir = _base_dir(raw)
    return Loaded(with_absolute_paths(converted.settings, base_dir), raw.source, {}, base_dir)


def _read(path: str | None, default_path: str) -> RawConfig:
    if path is not None:
        return read_config(Path(path))
    try:
        return read_config(Path(default_path))
    except UnreadableConfigError as error:
        if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            raise
    return RawConfig(EMBEDDED, {})


def _base_dir(raw: RawConfig) -> Path:
    return Path.cwd() if raw.source == EMBEDDED else Path(raw.source).parent


def from_raw(
    raw: RawConfig,
    known_checks: Collection[str] = BUILT_IN_CHECKS,
    unusable: Callable[[str], str] = lambda _check: "",
) -> Loaded:
    """The settings of tables that were read.

    @raise ConfigError: as L{load_settings}.
    """
    base_dir = _base_dir(raw)
    converted = convert(raw.tables)
    problems = list(converted.problems)
    problems += _news(problems, semantic_problems(converted.settings, known_checks, base_dir))
    problems += _news(problems, list(_unusable_checks(converted.settings, unusable)))
    if problems:
        raise ConfigError(raw.source, _in_file_order(problems, raw.tables))
    settings = with_absolute_paths(_with_shipped_rules(converted.settings), base_dir)
    if raw.source == EMBEDDED:
        settings = msgspec.structs.replace(settings, dns=msgspec.structs.replace(settings.dns, zones=shipped_zones()))
    warnings = (*raw.warnings, *_oddities(settings))
    return Loaded(settings, raw.source, origins_of(settings, raw.tables), base_dir, warnings)


def _unusable_checks(settings: Settings, unusable: Callable[[str], str]) -> Iterator[ConfigProblem]:
    for index, name in enumerate(settings.policy.checks):
        if name not in BUILT_IN_CHECKS and (why := unusable(name)):
            yield ConfigProblem(f"policy.checks[{index}]", f"{name} cannot be used: {why}")


def _oddities(settings: Settings) -> Iterator[str]:
    """What is allowed and hardly meant."""
    names = settings.policy.checks
    asking = [name for name in names if name in BUILT_IN_CHECKS]
    if CLASSIFIER not in names and asking:
        yield f"policy.checks has no {CLASSIFIER}: to {', '.join(asking)} every client is a stranger, logged in or not"


def _with_shipped_rules(settings: Settings) -> Settings:
    names = {rule.name for rule in settings.rule}
    shipped = [rule for rule in shipped_rules() if rule.name not in names]
    return msgspec.structs.replace(settings, rule=[*settings.rule, *shipped])


def _news(problems: list[ConfigProblem], more: list[ConfigProblem]) -> list[ConfigProblem]:
    """What is not about a key that was reported already, or about a table around it: a placeholder stands there."""
    reported = {problem.where for problem in problems}

    def is_told(where: str) -> bool:
        return any(_is_within(where, place) or _is_within(place, where) for place in reported)

    return [problem for problem in more if not is_told(problem.where)]


def _is_within(where: str, place: str) -> bool:
    return where == place or (where.startswith(place) and where[len(place)] in ".[")


def _in_file_order(problems: list[ConfigProblem], tables: Mapping[str, object]) -> list[ConfigProblem]:
    """By section and key as they stand in the file; what is about none of them comes first."""
    places: dict[str, int] = {}
    for section, table in tables.items():
        places[section] = len(places)
        for key in table if isinstance(table, dict) else ():
            places[f"{section}.{key}"] = len(places)

    def place(problem: ConfigProblem) -> int:
        section, _, rest = problem.where.partition(".")
        key = rest.partition(".")[0].partition("[")[0]
        return places.get(f"{section}.{key}", places.get(section.partition("[")[0], -1))

    return sorted(problems, key=place)
