"""Scans files for viruses: `app.include(scanning)` of `tasks.py`, with a scanner and sources.

`payloads.py` says what jobs give back; the scanners are in `toril.services.scan`.
"""

from toril.library.scanning.payloads import ScannerUnavailableError, ScanResult

__all__ = ["ScanResult", "ScannerUnavailableError"]
