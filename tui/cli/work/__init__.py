"""Commands of the daily work: check, run, reproduce, monitor, predict, replay."""
