"""Hypothesis without its deadline per example: files and processes on a busy machine are slow now and then."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
