"""A SaaS API: six types of jobs over REST, for many tenants. See README.md."""


def __getattr__(name: str) -> object:  # `toril worker examples.saas_api`: settings are read now
    if name != "app":
        raise AttributeError(name)
    from examples.saas_api.worker import app

    return app
