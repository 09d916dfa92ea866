"""Flags, environment, `lockstep.toml` and Parsec's env files become frozen values; every fault is reported at once."""
