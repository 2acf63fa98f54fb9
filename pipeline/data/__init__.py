"""The data slice: sources, typed columns, time stamps, fingerprints."""
