"""How long a run will take, before it is launched: from what the catalog has measured."""
