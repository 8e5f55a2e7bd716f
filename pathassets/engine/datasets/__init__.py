"""A dataset, by name or in a folder -> bags that torch trains on.

    "luad@3" ─▶ find: the catalog ─▶ its folder in the store ─┐
    a path ───────────────────────────────────────────────────┴▶ folder ─▶ load ─▶ BagDataset
                                                                    └────▶ copy ─▶ a folder

A copied folder asks no catalog: it is read where there is none. Of a dataset in a store the catalog
says which members were taken out since (withdrawn).
"""
