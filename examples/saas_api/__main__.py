"""`python -m examples.saas_api`: API, dashboard and worker in one process; `api`: no worker."""

import asyncio
import sys

from toril import TorilError
from toril.web.running import run_site

SAMPLE = '{"type":"EMAIL_SEND","data":{"to":"user@example.com","subject":"Hi","template":"test"}}'


async def main(alone: bool) -> None:
    from examples.saas_api.routes import operators, web
    from examples.saas_api.worker import AT_ONCE, FOLDER, app, services

    hint = f"""jobs in {app!r}, mails by {services.mail!r}, files in {FOLDER}
API {{url}}/api/queue   dashboard {{url}}/api/toril   try:
curl {{url}}/api/queue/jobs -H 'Authorization: Bearer {{key}}' -d '{SAMPLE}'"""
    concurrency = AT_ONCE if alone else None
    await run_site(web, app, port=3001, access=operators, concurrency=concurrency, hint=hint)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1:] != ["api"]))
    except TorilError as error:  # a setting, a port, a store: its message says what to do
        sys.exit(f"{type(error).__name__}: {error}")
