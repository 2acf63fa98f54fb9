"""How a model is made and judged, in time: slice, train, evaluate, decide."""
