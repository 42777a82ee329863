"""Errors of the wire.

WireError
├── PeerError    what the other side sent is wrong: say so and close, the process goes on
└── UsageError   what our own caller asked is wrong: its message goes to a person
"""


class WireError(Exception):
    """Base of all errors raised by this package."""


class PeerError(WireError):
    """The peer broke the protocol; the message says how, in words that may be sent back."""


class UsageError(WireError):
    """The caller asked for something that can't be; the message says what to do instead."""
