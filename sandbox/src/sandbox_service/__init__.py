"""A stand-in for the vendors' own HTTP APIs, for the local run and the tests; never for production."""
