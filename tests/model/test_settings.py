"""The settings: every key has its description, every default is one that is allowed, nothing can be changed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import inspect
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model import settings as module
from twistedmilter.model.section import Section
from twistedmilter.model.settings import Settings, shipped_rules


def sections() -> Iterator[type[Section]]:
    """Every class of the settings."""
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Section) and value not in {Section, Settings}:
            yield value


class SettingsTests(SynchronousTestCase):
    """What the manual and the checks rely on."""

    def test_every_key_is_described(self) -> None:
        """Each key of each section has a description, from which the manual is written."""
        for section in sections():
            info = inspect.type_info(section)
            assert isinstance(info, inspect.StructType)
            for each in info.fields:
                assert isinstance(each.type, inspect.Metadata), each.name
                self.assertTrue((each.type.extra_json_schema or {}).get("description"), f"{section}.{each.name}")

    def test_every_section_says_what_it_is_for(self) -> None:
        """Each class has a docstring."""
        for section in sections():
            self.assertTrue(section.__doc__, section)

    def test_defaults_are_allowed(self) -> None:
        """The defaults are values that the types take."""
        self.assertEqual(msgspec.convert(msgspec.to_builtins(Settings()), Settings), Settings())

    def test_frozen(self) -> None:
        """A setting cannot be changed."""
        for section in (Settings(), *(getattr(Settings(), name) for name in ("milter", "spf", "log"))):
            self.assertRaises(AttributeError, setattr, section, section.__struct_fields__[0], None)

    def test_unknown_keys_are_refused(self) -> None:
        """Every class refuses a key that it does not have."""
        for section in sections():
            required = {each.name: "x" for each in msgspec.structs.fields(section) if each.required}
            self.assertRaises(msgspec.ValidationError, msgspec.convert, {**required, "no_such_key": 1}, section)

    def test_the_default_is_safe_to_switch_on(self) -> None:
        """By default we listen on loopback, and what needs to know our domains first is only observed."""
        settings = Settings()
        self.assertEqual(settings.milter.listen, ["inet:8890@127.0.0.1"])
        self.assertEqual((settings.own_domain.mode, settings.infected_client.mode), ("observe", "observe"))

    def test_limits(self) -> None:
        """The limits are those that were agreed on."""
        milter = Settings().milter
        self.assertEqual(
            (milter.max_frame, milter.max_header_section, milter.max_header_fields), (65_536, 2**19, 10_000)
        )
        self.assertEqual((milter.max_recipients, milter.body_in_memory, milter.idle_timeout), (1_000, 2**20, 7_210.0))
        self.assertEqual((milter.frame_timeout, milter.max_connections), (30.0, 2_000))

    def test_shipped_rules_keep_role_accounts_reachable(self) -> None:
        """The addresses postmaster and abuse are reached by anybody, in every domain."""
        [rule] = shipped_rules()
        self.assertEqual((rule.recipients, rule.mode, rule.checks), (["postmaster@", "abuse@"], "observe", []))
