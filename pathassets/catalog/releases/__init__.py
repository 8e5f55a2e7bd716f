"""Datasets in the catalog: what was released, who was placed where, what leaks, what was accepted.

records.py      what goes in and out
candidates.py   slides that a dataset may have, and what decides whether and where
releases.py     releases and their members; what they hold
findings.py     placements of patients, hashes of thumbnails, findings and who accepted them
"""
