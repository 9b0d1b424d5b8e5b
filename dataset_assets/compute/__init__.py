"""How much work is done, and where."""
