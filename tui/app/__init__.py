"""The terminal app and its time cursor."""
