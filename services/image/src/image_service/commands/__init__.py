"""What operators do: ``python -m image_service.commands --help``."""
