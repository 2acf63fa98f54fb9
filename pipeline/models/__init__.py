"""Model files, the executor that fits them, the environment they were made in."""
