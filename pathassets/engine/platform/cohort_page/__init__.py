"""Catalog, store, slides -> what the cohort page shows: a slide at a glance, and all of them.

rows.py          what the catalog knows of slides, a few queries for some hundreds
survey.py        features of drawn slides ─▶ colours and a map that all slides share
task.py          one slide's picture, outline, grid and feature map, by a worker process
kept.py          pictures and measures that are kept in the home, so that no slide is read twice
outliers.py      what of a slide is unlike the others
page.py          all of that, page by page
address.py       where it is served
"""
