"""Slides of a cohort -> one page that shows them, and asks for nothing.

    PageSlide ─▶ words.py: JSON ─▶ html.py: page.html, page.css, *.js ─▶ text

What comes from files, tables and people is data on the page, and becomes text there: no markup is
made of it, and the page's policy lets no other script run and nothing be loaded.
"""
