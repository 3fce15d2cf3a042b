"""``python -m gateway_service``."""

import resource

from common.server import serve
from common.settings import load_settings
from gateway_service.settings import Settings

OPEN_FILES = 8192
"""Every client and every upstream connection is one; systems begin at 256 or 1024."""


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    serve("gateway_service.main:create_app", load_settings(Settings), http="gateway_service.protocol:BoundedProtocol")


if __name__ == "__main__":
    main()
