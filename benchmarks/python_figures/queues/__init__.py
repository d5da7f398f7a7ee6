"""One queue a module: its app, its two tasks, how jobs are added and workers started.

A worker process imports the same module as its producer, by the name that is on its command line.
The settings are those that the queue's own documentation advises; `docs/benchmarks.md` says why.
"""
