"""The pipeline file: read, validated, compared by meaning."""
