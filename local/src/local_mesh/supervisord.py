"""supervisord that looks after its processes five times a second: ``python -m local_mesh.supervisord``.

By itself it looks once a second and may need two looks, one to see that a process ended and one to start it again.
"""

import sys
from typing import Any

from supervisor.options import ServerOptions
from supervisor.supervisord import go

LOOK_EVERY_SECONDS = 0.2


def main() -> None:
    options = ServerOptions()
    poll = options.poller.poll

    def poll_briefly(timeout: float) -> Any:
        return poll(min(timeout, LOOK_EVERY_SECONDS))

    options.poller.poll = poll_briefly
    options.realize(sys.argv[1:], doc=__doc__)
    options.first, options.test = True, False
    go(options)
    options.close_httpservers()
    options.close_logger()


if __name__ == "__main__":
    main()
