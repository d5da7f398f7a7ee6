"""`toril vapid`: a key pair by which an application says who it is to push services."""

from __future__ import annotations

import click

from toril.cli.output import Output

EXAMPLE_SUBJECT = "mailto:you@example.com"


@click.command("vapid")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--env", "as_env", is_flag=True, help="Print lines for a file of settings.")
@click.option(
    "--subject",
    metavar="ADDRESS",
    help=f"Whom push services may write to: {EXAMPLE_SUBJECT}, or an https:// URL.",
)
def vapid(as_json: bool, as_env: bool, subject: str | None) -> None:
    """Make a key pair for Web Push, and print it. It is not kept.

    Browsers subscribe with the public key: after a change of keys, all have to subscribe again.
    """
    from toril.services.push.vapid import VapidKeys  # its library takes its time

    if as_json and as_env:
        raise click.UsageError("--json and --env: expected one of them")
    made = VapidKeys.generate(
        EXAMPLE_SUBJECT if subject is None else subject, subject_name="--subject"
    )
    output = Output(as_json=as_json)
    if as_json:
        document = {"publicKey": made.public_key, "privateKey": made.private_key}
        output.document(document if subject is None else {**document, "subject": made.subject})
    elif as_env:
        output.say(f"VAPID_PUBLIC_KEY={made.public_key}")
        output.say(f"VAPID_PRIVATE_KEY={made.private_key}")
        output.say(f"VAPID_SUBJECT={made.subject}")
    else:
        output.say(f"Public key:  {made.public_key}")
        output.say(f"Private key: {made.private_key}")
        if subject is not None:
            output.say(f"Subject:     {made.subject}")
