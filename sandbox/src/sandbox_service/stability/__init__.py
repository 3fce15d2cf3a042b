"""Stability AI REST API v1: https://platform.stability.ai/docs/api-reference."""
