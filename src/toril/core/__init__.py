"""Words that everyone uses: ids, durations, errors, checks, JSON, and what memory a process holds.

Nothing of jobs, and no I/O, but for what the system says of a process.
"""
