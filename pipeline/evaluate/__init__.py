"""Evaluation in time: walk-forward windows, metrics, intervals, selection, and the sentences about them."""
