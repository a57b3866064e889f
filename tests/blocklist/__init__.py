"""Tests of the blocklist package."""
