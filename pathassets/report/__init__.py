"""Outcomes -> what a terminal shows: tables, bars, plain lines in a log, or JSON for machines.

The names stand in `__init__.pyi`. Each is imported when it is first asked for: a table of slides
does not need what reads annotations. What a browser shows is in `cohort_page/`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
