"""Events and commits: their structs, their exact bytes, their sentences."""
