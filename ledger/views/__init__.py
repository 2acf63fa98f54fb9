"""States of entities, folded from events and kept in a disposable file."""
