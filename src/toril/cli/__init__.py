"""A terminal in front of the app: one module per noun, each loaded when its command is used."""
