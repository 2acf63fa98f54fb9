"""Corrections and redactions."""
