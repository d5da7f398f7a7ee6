"""The client of the REST interface is what its generator writes: an edit by hand would be lost."""

import pytest
from tests.support.client_source import FOLDER, sources


@pytest.mark.parametrize("name", ["asynchronous.py", "synchronous.py"])
def test_client_is_what_make_client_writes(name: str) -> None:
    written = (FOLDER / name).read_text("utf-8")
    assert written == sources()[name], f"client/{name} differs: change its source, `make client`"
