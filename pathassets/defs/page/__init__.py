"""`pathassets ui`: Dagster's processes, and the guard before its page.

    ui ─▶ services ─▶ code server, daemon, webserver      each run by `service`, and ended with `ui`
    browser ─▶ guard ─▶ Dagster's webserver, or what is shown beside it on the same port

Here belongs how Dagster's own programs are started, guarded and ended; not what they show.
"""
