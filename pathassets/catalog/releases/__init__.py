"""Datasets in the catalog: what was released, who was placed where, what leaks, what was accepted.

records.py    what goes in and out
releases.py   releases and their members; what they hold
findings.py   placements of patients, hashes of thumbnails, findings and who accepted them
"""
