"""A whole mesh under fire: processes killed and paused, messages lost and late, the engine failing in every way."""
