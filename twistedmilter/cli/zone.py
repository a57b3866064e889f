"""C{twistedmilter zone}: zone files are checked, asked, written for others, and rules for them are suggested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from twistedmilter.cli.errors import EXIT_USAGE, CommandError
from twistedmilter.cli.options import config_option
from twistedmilter.cli.zone_live import add, banned_domains, hits, list_entries, reload, remove, show_why

if TYPE_CHECKING:
    from twistedmilter.blocklist.loading import Loaded
    from twistedmilter.blocklist.suggestions import Ban, Suggestion

FORMATS = ("native", "dnset", "ip4set", "ip4trie", "ip4tset", "ip6trie")
KINDS = ("rhsbl", "ipbl", "mixed")
SEARCHES = 200  # by which the speed of a zone is judged
SLOW = 0.0005  # seconds
EXPORTS = ("rbldnsd", "bind", "rpz")

format_option = click.option(
    "--format", "written", type=click.Choice(FORMATS), default="native", help="How the files are written."
)
kind_option = click.option("--kind", type=click.Choice(KINDS), help="What the zone lists; without it anything.")


@click.group(name="zone", no_args_is_help=True)
@config_option
@click.pass_context
def zone(context: click.Context, config: str | None) -> None:
    """Check zone files, ask them, write them for others, find rules for them; show and change what is banned.

    \b
    Examples
      twistedmilter zone check throwaway.zone --good good-domains.txt
      twistedmilter zone why ded307.com throwaway.zone
      twistedmilter zone why ded307.com                  (what the running service has)
      twistedmilter zone add '*.spam.example' --expires 30d --comment "sent spam on Monday"
      twistedmilter zone export throwaway.zone --format rpz --apex rpz.example.net
      twistedmilter zone suggest banned_domains --good good-domains.txt
      twistedmilter zone suggest --accept 1 --into throwaway.zone
    """
    context.obj = config


for command in (list_entries, add, remove, reload, hits):
    zone.add_command(command)


@zone.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@format_option
@kind_option
@click.option("--good", metavar="FILE", help="Domains that have sent good mail, one a line: no rule may list many.")
@click.option("--force", is_flag=True, help="Take rules that list too much, and an empty zone.")
def check(files: tuple[str, ...], written: str, kind: str | None, good: str | None, force: bool) -> None:
    """Tell everything that is wrong with zone files.  Exit code 3: they cannot be used."""
    from twistedmilter.blocklist.lints import MAX_LINTS, lints
    from twistedmilter.blocklist.problems import ZoneError

    try:
        loaded = _loaded(files, written, kind, good=good, force=force)
    except ZoneError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        count = sum(problem.is_fatal for problem in error.problems)
        click.echo(f"{_counted(count, 'error')}: the zone cannot be used", err=True)
        raise click.exceptions.Exit(EXIT_USAGE) from None
    warnings = [*loaded.problems, *islice(lints(loaded), MAX_LINTS), *_slowness(loaded)]
    for warning in warnings:
        click.echo(warning, err=True)
    click.echo(f"{_counted(len(loaded.zone), 'rule')}, {_counted(len(warnings), 'warning')}")


def _slowness(loaded: Loaded) -> Iterator[str]:
    """What a search takes, if it takes long: names are drawn by chance, as those who want to do harm do."""
    import random
    import time

    chance = random.Random(1)  # noqa: S311 - nothing is hidden by it
    letters = b"abcdefghijklmnopqrstuvwxyz0123456789-"
    names = [(bytes(chance.choices(letters, k=chance.randint(5, 60))), b"com") for _ in range(SEARCHES)]
    begun = time.thread_time()
    for labels in names:
        loaded.zone.find(labels)
    taken = (time.thread_time() - begun) / SEARCHES
    if taken > SLOW:
        yield (
            f"warning: a search takes {taken * 1e3:.1f} ms; patterns that begin with letters, and not with a choice, a "
            "class or a repetition, are searched quickly however many they are"
        )


@zone.command()
@click.argument("name")
@click.argument("files", nargs=-1, metavar="[FILE...]")
@format_option
@kind_option
@config_option
def why(name: str, files: tuple[str, ...], written: str, kind: str | None, config: str | None) -> None:
    """Show the rule that lists NAME, a domain or an IP address.  Exit code 1: it is not listed.

    Without files the running service is asked, whose zones have bans besides; a hit of the rule is counted.
    """
    if not files:
        show_why(name, config)
        return
    key = _key(name)
    listing = _usable(files, written, kind).zone.find(tuple(key.split(b".")))
    if listing is None:
        click.echo(f"{name} is not listed")
        raise click.exceptions.Exit(1)
    codes = " ".join(".".join(str(octet) for octet in code) for code in listing.codes)
    text = (listing.text(key) or b"").decode("ascii")
    click.echo(f"{listing.rule.source}:{listing.rule.line}: {listing.rule.kind.value} rule, {codes}, {listing.ttl} s")
    if text:
        click.echo(text)


@zone.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--format", "target", type=click.Choice(EXPORTS), required=True, help="For whom.")
@click.option("--from", "written", type=click.Choice(FORMATS), default="native", help="How the files are written.")
@kind_option
@click.option("--apex", required=True, help="The name of the zone.")
@click.option("--ns", "nameservers", multiple=True, metavar="NAME", help="A name server, where the files name none.")
def export(
    files: tuple[str, ...], target: str, *, written: str, kind: str | None, apex: str, nameservers: tuple[str, ...]
) -> None:
    """Write a zone on stdout for rbldnsd, for BIND and its like, or as a response policy zone.

    Patterns are known to nobody else: they are told on stderr and left out.
    """
    import time

    from twistedmilter.blocklist.export import ExportFormat, Origin
    from twistedmilter.blocklist.export import export as lines_of_export
    from twistedmilter.blocklist.written_rules import left_out

    loaded = _usable(files, written, kind)
    origin = Origin(_labels(apex), tuple(_labels(each) for each in nameservers), int(time.time()) % 2**32)
    for line in lines_of_export(loaded, ExportFormat(target), origin):
        click.echo(line)
    for rule in left_out(loaded):
        click.echo(f"{rule.source}:{rule.line}: left out: nobody else knows {rule.kind.value} rules", err=True)


@zone.command()
@click.argument("bans", required=False, metavar="[BANS]")
@click.option("--good", metavar="FILE", help="Domains that have sent good mail, one a line.")
@click.option("--zone", "files", multiple=True, metavar="FILE", help="A zone file; what it lists needs no new rule.")
@click.option("--accept", type=click.IntRange(min=1), help="Enter the suggestion of this number.")
@click.option("--into", metavar="FILE", help="The zone file that --accept enters it in.")
@config_option
def suggest(
    bans: str | None,
    good: str | None,
    files: tuple[str, ...],
    *,
    accept: int | None,
    into: str | None,
    config: str | None,
) -> None:
    """Suggest rules that three or more BANS of the last thirty days have in common.

    BANS is a file with one domain a line, and behind it the time of the ban if that is known: seconds since the
    epoch or a date.  Without it they are the domains of the blacklist, as "zone add" enters them.  Nothing becomes a
    rule unless --accept says so.  Exit code 1: nothing is to be suggested.
    """
    import time

    from twistedmilter.blocklist.suggestions import suggest as suggestions_of

    if (accept is None) != (into is None):
        raise click.UsageError("--accept and --into belong together")
    known = _usable(files, "native", None).zone if files else None
    found = suggestions_of(
        _bans(bans) if bans is not None else banned_domains(config),
        [name.decode("ascii", "replace") for name in _names(good)],
        time.time(),
        listed=lambda name: known is not None and known.find(_labels(name)) is not None,
    )
    if not found:
        click.echo("nothing to suggest")
        raise click.exceptions.Exit(1)
    if accept is None or into is None:
        for number, each in enumerate(found, 1):
            click.echo("\n".join(_suggestion_lines(number, each)))
    elif accept > len(found):
        is_or_are = "is" if len(found) == 1 else "are"
        raise CommandError(f"there {is_or_are} {_counted(len(found), 'suggestion')}, none with number {accept}")
    else:
        _enter(found[accept - 1], Path(into))


def _counted(count: int, word: str) -> str:
    """A number of things in words."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _suggestion_lines(number: int, suggestion: Suggestion) -> Iterator[str]:
    """One suggestion for people."""
    yield f"{number}. {suggestion.line}"
    yield f"   {suggestion.shape}: {', '.join(suggestion.evidence[:6])}{', ...' * (len(suggestion.evidence) > 6)}"
    good = f": {', '.join(suggestion.good)}" if suggestion.good else ""
    caught, good_domains = _counted(suggestion.caught, "ban"), _counted(suggestion.good_count, "good domain")
    yield f"   would have caught {caught} and {good_domains}{good}"


def _enter(suggestion: Suggestion, path: Path) -> None:
    """Put a rule at the end of a zone file, unless the file could not be used then."""
    import os
    from datetime import UTC, datetime

    from twistedmilter.blocklist.problems import ZoneError

    before = path.read_bytes() if path.exists() else b""
    line = f"{suggestion.line} [added={datetime.now(UTC):%Y-%m-%d}]\n".encode()
    after = before + (b"\n" if before and not before.endswith(b"\n") else b"") + line
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(after)
    try:
        _loaded((str(new),), "native", None)
        if path.exists():
            new.chmod(path.stat().st_mode & 0o777)
        os.replace(new, path)  # noqa: PTH105 - a name for a name
    except ZoneError as error:
        new.unlink()
        raise CommandError(f"not entered: {error.problems[0].wrong}") from None
    click.echo(f"{path}: {suggestion.line}")


def _loaded(
    files: tuple[str, ...], written: str, kind: str | None, *, good: str | None = None, force: bool = False
) -> Loaded:
    """The zone of some files.

    @raise ZoneError: they cannot be used.
    """
    import time

    from twistedmilter.blocklist.loading import Format, Limits, Source, lines_of, load_at_once, load_zone
    from twistedmilter.blocklist.zone import ZoneKind

    limits = Limits(forced=force, good_domains=tuple(_names(good)))
    with ExitStack() as stack:
        sources = [
            Source(name, lines_of(stack.enter_context(Path(name).open("rb"))), Format(written)) for name in files
        ]
        return load_at_once(load_zone((), ZoneKind(kind or "mixed"), sources, time.time, limits=limits))


def _usable(files: tuple[str, ...], written: str, kind: str | None) -> Loaded:
    """The zone of some files, whatever it lists.

    @raise CommandError: they cannot be used.
    """
    from twistedmilter.blocklist.problems import ZoneError

    try:
        return _loaded(files, written, kind, force=True)
    except ZoneError as error:
        fatal = [problem for problem in error.problems if problem.is_fatal]
        more = f" (and {len(fatal) - 1} more: twistedmilter zone check)" if len(fatal) > 1 else ""
        raise CommandError(f"{fatal[0]}{more}") from None


def _names(path: str | None) -> list[bytes]:
    """The first word of each line of a file, comments left out."""
    if path is None:
        return []
    lines = Path(path).read_bytes().splitlines()
    return [words[0].lower() for line in lines if (words := line.split()) and not words[0].startswith(b"#")]


def _bans(path: str) -> list[Ban]:
    from twistedmilter.blocklist.suggestions import Ban

    bans = []
    for line in Path(path).read_text("utf-8", "replace").splitlines():
        words = line.split()
        if words and not words[0].startswith("#"):
            bans.append(Ban(words[0].lower().removeprefix("*."), _time(words[1]) if len(words) > 1 else 0))
    return bans


def _time(text: str) -> float:
    """Seconds since the epoch of a number or a date; 0: it is neither."""
    from datetime import datetime

    try:
        return float(text)
    except ValueError:
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            return 0


def _labels(name: str) -> tuple[bytes, ...]:
    return tuple(label for label in name.lower().encode("ascii", "replace").split(b".") if label)


def _key(name: str) -> bytes:
    """What a zone is asked for about a domain or an IP address."""
    from ipaddress import ip_address

    try:
        pointer = ip_address(name).reverse_pointer
    except ValueError:
        return b".".join(_labels(name))
    return pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa").encode()
