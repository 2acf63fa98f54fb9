"""What leaves the ledger: bundles, tiles, segments, anchors, backups."""
