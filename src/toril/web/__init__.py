"""A server in front of the app: what people and programs ask of it over HTTP."""
