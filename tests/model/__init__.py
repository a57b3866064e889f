"""Tests of the values that every layer shares."""
