"""Those on the other side of the sandbox in its tests: an app that asks Google Play, a gateway that is sent to."""
