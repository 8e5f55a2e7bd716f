"""What people look at in a browser: Dagster's page, and the slides of a cohort on one.

ui.py          `pathassets ui`: the processes
webserver.py   the one of them that answers: Dagster's webserver, and the cohort page below /cohort
routes.py      requests for the cohort page
report.py      `pathassets report`: the cohort page as files
"""
