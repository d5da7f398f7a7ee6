"""Opens the files that payloads name: by a path, as an object of a storage, or by a URL."""
