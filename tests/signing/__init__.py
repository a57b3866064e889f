"""Tests of signed addresses."""
