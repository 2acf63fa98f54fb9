"""Commands that begin: init, demo."""
