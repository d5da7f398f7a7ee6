"""Takes money through payment providers: one charge for each key, whatever gets lost."""
