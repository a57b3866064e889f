"""Tests of the outlets of the record."""
