"""A SaaS API: six types of jobs over REST, for many tenants. See README.md."""

from examples.saas_api.worker import app as app
