"""The queues: a module each, the options that they share, and one registry."""
