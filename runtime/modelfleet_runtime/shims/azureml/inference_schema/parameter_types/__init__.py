"""Kinds of parameters, each made from a sample."""
