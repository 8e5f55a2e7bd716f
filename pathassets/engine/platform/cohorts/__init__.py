"""Tables of whose slides are -> what would change, shown to a person -> changed, with its history.

file ─▶ lines ─▶ slides they are about ─▶ changes and conflicts ─▶ catalog, all or nothing
adapters  sheet.py      matching.py            preview.py           imports.py
"""
