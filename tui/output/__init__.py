"""How answers look: escaping, tables, charts, pages, hints."""
