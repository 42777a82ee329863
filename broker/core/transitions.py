"""The legal moves, as data: `State.validate` and the tables of ARCHITECTURE.md both come from here."""

from __future__ import annotations

from .task import Phase, Standing

TASK: dict[Phase, dict[Phase, str]] = {
    Phase.NEW: {
        Phase.QUEUED: "submitted, nobody is free",
        Phase.RUNNING: "submitted, a slot is free",
        Phase.ENDED: "refused: queue full, or immediate and nobody is free",
    },
    Phase.QUEUED: {
        Phase.RUNNING: "assigned to a provider",
        Phase.ENDED: "cancelled, or its deadline passed",
    },
    Phase.RESTING: {
        Phase.QUEUED: "its back-off is over",
        Phase.ENDED: "cancelled, or its deadline passed",
    },
    Phase.RUNNING: {
        Phase.QUEUED: "its provider was lost, refused it while another one can take it, or held it behind long runs",
        Phase.RESTING: "its provider refused it and nobody else can take it",
        Phase.ENDED: "answered, cancelled, deadline passed, or out of attempts",
    },
    Phase.ENDED: {},
}

PROVIDER: dict[Standing, dict[Standing, str]] = {
    Standing.GREETING: {
        Standing.READY: "answered the listing: its workers are up",
        Standing.GONE: "socket lost, silent, or broke the protocol",
    },
    Standing.READY: {Standing.GONE: "socket lost, silent, or broke the protocol"},
    Standing.GONE: {},
}
