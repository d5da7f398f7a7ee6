"""Figures of this machine: what Toril does in a second, beside its nearest peers. No thresholds."""
