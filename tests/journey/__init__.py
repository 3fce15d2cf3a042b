"""What the journeys are written with: the running mesh, a phone, the sandbox's controls, exact checks of answers."""
