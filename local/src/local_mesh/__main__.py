"""Start by ``python -m local_mesh [run] [service]``."""

import sys

from local_mesh.cli import main

sys.exit(main())
