"""Arrow tables: their columns, how they are read, written and committed, and where each came from."""
