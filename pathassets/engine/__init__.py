"""How work is run, in wings; each imports only those below it.

    platform     a home: its settings opened, plans, batches, status, lineage, ingestion, datasets
    stages       what is made of one slide, stage by stage
    patches · features · locations     the pools and classes that users import
    slides       a slide opened, read, copied, checked
    workers      where work runs: processes, threads, shared memory, devices

`settings`, `software` and `public_help` are the ground under all of them.
"""
