"""C{twistedmilter policy}: which entry of a policy decides on a sender, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from twistedmilter.cli.options import config_option
from twistedmilter.cli.spf import AddressType

if TYPE_CHECKING:
    from twistedmilter.cli.spf_view import Asked
    from twistedmilter.configfile import Loaded
    from twistedmilter.policy.access import AccessMap
    from twistedmilter.policy.keywords import Keyword

RESULTS: Final = ("pass", "neutral", "none", "softfail", "fail", "permerror", "temperror")
_EFFECTS: Final = {
    "OK": "the message goes on",
    "WHITELIST": "the message goes on, and the sender is a known one",
    "MARK": "the message goes on, marked",
    "HOLD": "the message is held in quarantine",
    "CBV": "the message goes on, if the sender's exchangers take mail for it",
    "DSN": "the message goes on, if the sender can be told: {template}",
    "REJECT": "the message is refused",
    "BAN": "the message is refused, and that counts against the client",
    "TEMPFAIL": "the message is refused for now",
    "ERROR": "the message is answered with {code} {status} {text}",
}


# keys of [spf] that may put another result in the place of this one
_INSTEAD: Final = {
    "spf-permerror": ("lax",),
    "spf-none": ("delegate", "best_guess", "helo_vouches"),
    "spf-temperror": ("defer_only_passes",),
}


@click.command(name="policy")
@click.argument("sender")
@click.option("--result", type=click.Choice(RESULTS, case_sensitive=False), help="The SPF result to decide on.")
@click.option("--ip", type=AddressType(), help="Evaluate SPF for a client with this address, instead of --result.")
@click.option("--client-helo", default="", metavar="NAME", help="With --ip: what the client says in HELO.")
@click.option("--nameserver", "nameservers", multiple=True, metavar="ADDR[:PORT]", help="With --ip: ask this one.")
@click.option("--helo", "is_helo", is_flag=True, help="SENDER is a HELO name, and the result is that of its identity.")
@click.option("--user", metavar="NAME", help="The user has authenticated as NAME: may it use SENDER?")
@click.option("--json", "json_output", is_flag=True, help="One JSON object.")
@config_option
def policy(  # noqa: PLR0917 - click hands over each option
    sender: str,
    result: str | None,
    ip: Any,
    client_helo: str,
    nameservers: tuple[str, ...],
    is_helo: bool,
    user: str | None,
    json_output: bool,
    config: str | None,
) -> None:
    """Show which entry of a policy decides on a sender, and why.

    SENDER is an address or a domain, without brackets. Every key is shown in the order in which it is
    looked up, in the table of the configuration and in the access map; the first entry decides, else a
    list of [spf], else the default. Nothing is asked or changed, unless --ip wants SPF to be evaluated: then
    the DNS is asked, and the result that policy acts on is shown with what it rests on.

    \b
    Exit codes
      0  it is shown
      3  wrong usage, or the configuration or its access map cannot be used

    \b
    Examples
      twistedmilter policy bob@example.com --result softfail
      twistedmilter policy bob@example.com --ip 192.0.2.1 --client-helo mail.example.com
      twistedmilter policy mail.example.com --helo --result fail
      twistedmilter policy info@example.com --user ann --json
    """
    from twistedmilter.cli.spf_view import Asked
    from twistedmilter.configfile import load_settings
    from twistedmilter.observe.json_log import encode

    if [result, user, ip].count(None) != 2 or (is_helo and result is None):
        raise click.UsageError("give one of --result, --ip and --user; --helo goes with --result")
    loaded = load_settings(config)
    access = access_of(loaded)
    address = sender.strip().removeprefix("<").removesuffix(">")
    if user is not None:
        shown = _login(loaded, access, user, address)
    elif ip is not None:
        shown = _evaluated(loaded, access, Asked(ip, "", address, client_helo), nameservers)
    else:
        shown = _spf(loaded, access, f"{'helo' if is_helo else 'spf'}-{str(result).lower()}", address)
    click.echo(encode(shown) if json_output else "\n".join(_lines(shown)))


def access_of(loaded: Loaded) -> AccessMap:
    """The access map as it is now.

    @raise ConfigError: it cannot be read.
    """
    from twisted.internet.task import Clock

    from twistedmilter.access_files import open_access
    from twistedmilter.policy.access import no_access

    file = open_access(loaded.settings.policy.access, loaded.base_dir, Clock(), loaded.source)
    return file.current() if file is not None else no_access()


def _spf(loaded: Loaded, access: AccessMap, tag: str, address: str) -> dict[str, Any]:
    """What decides on an SPF result."""
    from twistedmilter.model.spf import SPFResult
    from twistedmilter.policy.acting import template_of
    from twistedmilter.policy.spf_policy import SPFPolicy

    spf_policy = SPFPolicy.of(loaded.settings.spf, lambda: access, loaded.base_dir)
    kind, _, result = tag.partition("-")
    steps = list(spf_policy.table.steps(tag, address))
    entry = next((found for _, found in steps if found is not None), None)
    if entry is not None:
        keyword, source = entry.keyword, str(entry)
    else:
        choice = spf_policy.fallback(tag, address)
        keyword, source = choice.keyword, choice.source
    template = template_of(SPFResult(result), is_helo=kind == "helo")
    return {
        "tag": tag,
        "address": address,
        "looked_up": [_step(key, found) for key, found in steps],
        "word": str(keyword),
        "source": source,
        "effect": _effect(loaded, keyword, template),
        "instead": [key for key in _INSTEAD.get(tag, ()) if getattr(loaded.settings.spf, key)],
        "mode": loaded.settings.spf.mode,
        "compat": loaded.settings.spf.compat,
    }


def _evaluated(loaded: Loaded, access: AccessMap, asked: Asked, nameservers: tuple[str, ...]) -> dict[str, Any]:
    """What decides on the result of an evaluation; the readings that are not official are named."""
    from twistedmilter.cli.spf import look

    view = look(loaded, nameservers, asked)[1]
    if view is None:
        raise click.UsageError(f"{asked.sender!r} and {asked.helo!r} give no name to judge")
    outcome = view.effective.outcome
    shown = _spf(loaded, access, f"spf-{outcome.result.value}", outcome.sender)
    return {**shown, "spf": [f"official: {view.official.result.value}", *view.lines()]}


def _login(loaded: Loaded, access: AccessMap, user: str, address: str) -> dict[str, Any]:
    """What decides on a sender that a user wants to use."""
    from twistedmilter.model.address import parse_path
    from twistedmilter.policy.address_set import AddressSet
    from twistedmilter.policy.checks.sender_login import TAG, login_table

    settings = loaded.settings
    mailbox = parse_path(address if "@" in address else f"postmaster@{address}")
    table = login_table(settings.sender_login.policy, lambda: access)
    steps = list(table.steps(TAG, f"{user}@{mailbox.domain}"))
    entry = next((found for _, found in steps if found is not None), None)
    shown: dict[str, Any] = {
        "tag": TAG,
        "address": f"{user}@{mailbox.domain}",
        "looked_up": [_step(key, found) for key, found in steps],
    }
    if entry is not None:
        shown |= {"word": str(entry.keyword), "source": str(entry), "effect": _effect(loaded, entry.keyword, "")}
    else:
        ours = AddressSet.parse(settings.networks.internal_domains, loaded.base_dir)
        is_free = not table.has(TAG) or not ours or ours.match(mailbox) is not None
        word, source = ("OK", "no entry") if is_free else ("REJECT", "networks.internal_domains, where it is not")
        shown |= {"word": word, "source": source, "effect": _EFFECTS[word]}
    return shown | {"mode": settings.sender_login.mode}


def _step(key: str, entry: object) -> dict[str, str]:
    return {"key": key, "entry": str(entry) if entry is not None else ""}


def _effect(loaded: Loaded, keyword: Keyword, template: str) -> str:
    """What the word does with what is switched on."""
    from twistedmilter.model.verdict import RECIPIENT
    from twistedmilter.policy.acting import Means

    possible = Means.of(loaded.settings).possible(keyword.word)
    text = keyword.text.replace(RECIPIENT, "RECIPIENT")
    told = _EFFECTS[possible].format(
        template=keyword.template or template, code=keyword.code, status=keyword.status, text=text
    )
    if possible is keyword.word:
        return told
    return f"{told}, since what {keyword.word} needs is off"


def _lines(shown: dict[str, Any]) -> Iterator[str]:
    """The answer for people."""
    from twistedmilter.observe.sanitise import one_line

    yield from (f"  {one_line(line)}" for line in shown.get("spf", ()))
    yield f"{shown['tag']} for {one_line(shown['address']) or 'nobody'}"
    width = max(len(step["key"]) for step in shown["looked_up"])
    is_decided = False
    for step in shown["looked_up"]:
        found = step["entry"] or "-"
        decides = bool(step["entry"]) and not is_decided
        is_decided = is_decided or decides
        yield one_line(f"  {step['key']:{width}}  {found}{'  <- decides' if decides else ''}").rstrip()
    yield one_line(f"{shown['word']}, by {shown['source']}: {shown['effect']}")
    if shown.get("compat"):
        yield f"with compat = {shown['compat']} the HELO name and three strikes decide first: see docs/spf.md"
    if shown.get("instead"):
        keys = ", ".join(f"spf.{key}" for key in shown["instead"])
        yield f"{keys} may put another result in the place of this one: see --ip"
    if shown["mode"] != "enforce":
        yield f"the check's mode is {shown['mode']}: nothing of it counts"
