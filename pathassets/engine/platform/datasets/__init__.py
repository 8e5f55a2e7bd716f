"""Datasets of a home: planned, gated, built, released, compared and verified.

gather ─▶ plan ─▶ build ─▶ leakage ─▶ contents ─▶ the store
                             │                       │
                findings, accepted by people     freeze ─▶ cohort@3 ─▶ versions ─▶ verify, compare
"""
