"""`toril encryption-key`: a new key for sealed fields."""

from __future__ import annotations

import click

from toril.cli.options import json_option
from toril.cli.output import Output
from toril.core.sealing import new_key


@click.command("encryption-key")
@json_option
def encryption_key(as_json: bool) -> None:
    """Make a key for sealed fields, and print it.

    Give it to programs that add and work jobs as TORIL_ENCRYPTION_KEYS. To change keys, put the new
    one in front: TORIL_ENCRYPTION_KEYS=new,old. The first key seals, and all of them open.
    """
    key = new_key()
    Output(as_json=as_json).done({"key": key}, key)
