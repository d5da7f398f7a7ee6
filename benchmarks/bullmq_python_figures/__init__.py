"""The same of BullMQ for Python, with the settings that `docs/benchmarks.md` gives reasons for."""
