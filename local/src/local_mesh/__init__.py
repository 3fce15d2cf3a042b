"""The local run: every process of the mesh on this machine, kept alive by supervisor."""
