"""What the panes are made of: virtual tables, lines of text, the timeline, the banner."""
