"""Ready-made work: what to do, how often to try again, and how to do it once.

One folder per family. Families use services and what any customer can use, and not each other.
"""
