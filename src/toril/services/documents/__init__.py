"""Documents as PDF, of templates and data. `port.py` is the interface, `typst.py` the engine."""
