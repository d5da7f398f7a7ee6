"""Says what a file really is, and makes others of it: `files`, `file_work` of `tasks.py`.

`kinds.py` knows the kinds of files, `sniffing.py` tells them by their bytes, `archives.py` looks at
what ZIP archives hold, `checking.py` compares all of it with what was declared and allowed.
`operations.py` says what can be done with a file, `processing.py` does it. `uploads.py` takes files
of users in, and `upload_task.py` makes a flow of that.
"""

from toril.library.files.payloads import FileFacts, FileProblem, FileProcessed
from toril.library.files.settings import FileProcessSettings, FileSettings
from toril.library.files.upload_payloads import UploadOptions, UploadOutput, UploadResult
from toril.library.files.upload_settings import UploadSettings
from toril.library.files.uploads import Uploads

__all__ = [
    "FileFacts",
    "FileProblem",
    "FileProcessSettings",
    "FileProcessed",
    "FileSettings",
    "UploadOptions",
    "UploadOutput",
    "UploadResult",
    "UploadSettings",
    "Uploads",
]
