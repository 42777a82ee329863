"""`python -m broker`: starts the broker, serves until SIGTERM or SIGINT, then drains. A second signal ends at once."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys

from aiohttp.http_exceptions import BadHttpMessage

from broker.app import VERSION, Broker
from broker.errors import UsageError
from broker.settings import Settings


async def serve(settings: Settings) -> None:
    """Run until a signal asks to stop. Raises UsageError when it can't start."""
    broker = Broker(settings)
    await broker.start()
    log = logging.getLogger("broker")
    log.info("wasimoff %s at %s (data in %s)", VERSION, broker.url, settings.filestorage)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    # What start-up made stays: keep the collector from walking over it again and again.
    gc.freeze()
    await stop.wait()
    log.info("draining: the runs that are under way may end within %g s", settings.drain_seconds)
    await broker.stop()


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 after a drain, 2 when the settings are wrong."""
    try:
        settings = Settings.from_command_line(sys.argv[1:] if arguments is None else arguments, os.environ)
        level = logging.DEBUG if settings.debug else logging.INFO
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
        if not settings.debug:
            # Remarks on slow callbacks, where PYTHONASYNCIODEBUG is set: for developers.
            logging.getLogger("asyncio").setLevel(logging.ERROR)
        # aiohttp tells of every request that it can't parse, with a traceback: the peer is told already.
        logging.getLogger("aiohttp.server").addFilter(lambda record: not (record.exc_info and _is_bad(record.exc_info[1])))
        _run(settings)
    except UsageError as error:
        print(f"broker: {error}", file=sys.stderr)
        return 2
    return 0


def _is_bad(error: BaseException | None) -> bool:
    return isinstance(error, BadHttpMessage)


def _run(settings: Settings) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(settings))
    else:
        uvloop.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
