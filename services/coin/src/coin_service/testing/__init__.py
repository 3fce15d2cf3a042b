"""Stand-ins for the vendors that the coin service asks, on the wire, and for those who call it."""
