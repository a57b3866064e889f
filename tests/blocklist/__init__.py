"""Tests of the lists that the DNS serves."""
