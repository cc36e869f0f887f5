"""Packages whose functions answer requests: each kind a file, one engine for all."""
