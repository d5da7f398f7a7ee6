"""The same of Huey on SQLite, with the settings that `docs/benchmarks.md` gives reasons for."""
