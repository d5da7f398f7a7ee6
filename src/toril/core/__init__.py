"""Words that everyone uses: ids, durations, errors, checks, JSON. No I/O, and nothing of jobs."""
