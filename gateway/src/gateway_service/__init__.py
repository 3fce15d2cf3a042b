"""The one public door of Pixelmint: checks tokens and forwards to the services."""
