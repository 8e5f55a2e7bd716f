"""What is said of slides and patients: the state of now, changes of it, and the way they came.

state.py      tables -> CohortState
changes.py    CohortChange -> tables and history
cohorts.py    class Cohorts: what the catalog is asked, and told
"""
