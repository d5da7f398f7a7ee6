"""Says what a file really is, and whether it may be taken: `app.include(files)` of `tasks.py`.

`kinds.py` knows the kinds of files, `sniffing.py` tells them by their bytes, `archives.py` looks at
what ZIP archives hold, `checking.py` compares all of it with what was declared and allowed.
"""

from toril.library.files.payloads import FileFacts, FileProblem
from toril.library.files.settings import FileSettings

__all__ = ["FileFacts", "FileProblem", "FileSettings"]
