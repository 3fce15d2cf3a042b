"""What ends a local run before or while it starts."""


class StartError(Exception):
    """The mesh cannot start; the message says why and names the way out, and is all that the user is shown."""
