"""Watched folders -> what of them is whole -> registered, and tables taken; what waits, and why.

folders ─▶ files ─▶ those nobody knows ─▶ still and complete ─▶ slides and cohort tables
           walk.py        look.py                                taking.py, tables.py
"""
