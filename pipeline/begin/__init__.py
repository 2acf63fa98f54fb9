"""A pipeline file from a table: what is seen in it, what a person decides, and what is proposed."""
