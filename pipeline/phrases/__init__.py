"""Captions to noun phrases."""
