"""What operators do: ``python -m coin_service.commands --help``."""
