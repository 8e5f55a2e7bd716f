"""Selections of slides: those that have a name, and conditions in SQL."""
