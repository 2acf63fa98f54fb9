"""A story from the life of one model, lived again with the real verbs on real flights."""
