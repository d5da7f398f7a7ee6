"""Turns a Python function into a task. The user's side: it knows the engine, and no store."""
