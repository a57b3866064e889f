"""Addresses that prove themselves: SRS, SES, BATV and tracking tokens; secrets and time are arguments."""
