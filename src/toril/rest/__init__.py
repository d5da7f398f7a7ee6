"""The words of the REST interface: what is sent and what is answered. Server and client share them.

It knows neither HTTP nor the app. Next: `answers.py`, `bodies.py`.
"""
