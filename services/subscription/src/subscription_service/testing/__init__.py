"""Google Play on the wire, a clock to turn, and those who call the service."""
