"""The arithmetic of reputation."""
