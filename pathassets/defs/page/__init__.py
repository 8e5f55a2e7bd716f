"""`pathassets ui`: Dagster's processes, and the guard before its page.

    ui ─▶ services ─▶ code server, daemon, webserver      each run by `service`, and ended with `ui`
    browser ─▶ guard ─▶ Dagster's webserver

Here belongs how Dagster's own programs are started, guarded and ended; not what they show.
"""
