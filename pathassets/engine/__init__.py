"""How work is run, in wings; each imports only those below it.

    platform     a home: its settings opened, plans, batches, status, lineage, ingestion, datasets
    stages       what is made of one slide, stage by stage
    patches · features · locations     the pools and classes that users import
    datasets     what was built, as bags to train on
    slides       a slide opened, read, copied, checked
    workers      where work runs: processes, device lines, threads, shared memory

`settings`, `software` and `public_help` are the ground under all of them.

From a slide to its features:

    defs/assets/batch.py         the slides and entries that were asked for in a run
      platform/plan.py           recipe, catalog ─▶ PlannedSlide ─▶ SlideTask: steps, parents first
      platform/batch.py          all there? ─yes─▶ outcome; else, slide by slide:
        platform/batches/under_way.py  its segments: to workers, to device lines (workers/pool.py)
          stages/slide_task.py     a worker: masks, locations; what is made already is left as it is
          stages/line.py           a line: many slides after each other, on one device
            stages/features.py     patches of one slide, all encoders that want them
            features/encoding.py   read by threads, encoded in whole batches (features/batches.py)
            adapters/zarr/feature_writer.py   whole chunks, in adapters/store/partial.py's folder
            stages/published.py    the folder gets its final name, with artifact.json
      platform/batch.py          SlideOutcome ─▶ the caller, then the catalog (record_outcome)
    defs/events/slide_events.py  SlideOutcome ─▶ what Dagster shows of it
"""
