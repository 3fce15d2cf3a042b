"""Stability AI REST API v1 and v2beta: https://platform.stability.ai/docs/api-reference."""
