"""A content platform: media in several sizes, kept in step with a storage, and five channels.

Its app is `examples.content_platform`: `toril worker examples.content_platform`. See README.md.
"""

from examples.content_platform.queues import app as app
