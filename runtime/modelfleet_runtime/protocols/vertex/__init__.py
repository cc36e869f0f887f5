"""Vertex AI's routes."""
