"""The configuration: TOML in, frozen settings out, or every problem at once."""

from __future__ import annotations

from twistedmilter.configfile.loading import DEFAULT_PATH, EMBEDDED, Loaded, load_sections, load_settings
from twistedmilter.configfile.reading import UnreadableConfigError

__all__ = ["DEFAULT_PATH", "EMBEDDED", "Loaded", "UnreadableConfigError", "load_sections", "load_settings"]
