"""How fast, and in how much memory; nothing here is a test."""
