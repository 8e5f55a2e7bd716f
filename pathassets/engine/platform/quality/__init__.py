"""Quality of slides as people and rules see it: verdicts from tables, and what waits for one.

table ─▶ verdicts and conflicts ─▶ catalog, all or nothing       verdict_table.py
facts, rules, verdicts ─▶ slides to look at, the worst first     queue.py
"""
