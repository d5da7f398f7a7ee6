"""Rules of what follows an event, and scenarios of several steps, stored."""
