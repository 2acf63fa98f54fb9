"""The recording client for notebooks and training loops."""
