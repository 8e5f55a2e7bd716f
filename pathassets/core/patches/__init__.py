"""How patches are read and kept: plans, names, sets."""
