"""For all tests: what depends on how pytest itself was started."""

import signal

# A shell that starts something in the background lets it ignore SIGINT, and so do all processes it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
