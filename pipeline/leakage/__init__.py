"""Leakage checks: does the data know what it could not have known?"""
