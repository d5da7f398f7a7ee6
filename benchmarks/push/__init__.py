"""How many pushes one process sends, beside pywebpush: `python -m benchmarks.push`."""
