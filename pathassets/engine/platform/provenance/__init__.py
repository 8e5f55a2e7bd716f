"""Where things come from, what came of them, and why they count no more.

origin         what a person names (a path, an address, a slide, a patient) ─▶ what it is
lineage        that ─▶ what it was made from and what was made from it, as a tree
drawing        the tree as text for Graphviz, or as a picture
stale          what was made and is not in force any more, and which change did it
openlineage    what a run did ─▶ events for a data catalog
"""
