"""The version, for those that must not import the whole face to know it."""

VERSION = "0.1.0"
