"""A dataset, by name or in a folder -> bags that torch trains on.

    "luad@3" ─▶ find: the catalog ─▶ its folder in the store ─┐
    a path ───────────────────────────────────────────────────┴▶ folder ─▶ load ─▶ BagDataset
                                                                    └────▶ copy ─▶ a folder

From a folder on, no catalog is asked: a copied dataset is read where there is none.
"""
