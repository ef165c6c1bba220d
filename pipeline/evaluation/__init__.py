"""Evaluation: one module a question."""
