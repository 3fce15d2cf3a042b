"""Cloudinary's Upload API, Admin API and delivery network."""
