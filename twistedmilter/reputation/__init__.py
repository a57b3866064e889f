"""The arithmetic of reputation: observations, opinions, and what peers' opinions are worth.  Values in, values out."""
