"""Commands that decide: final-test, promote, waive."""
