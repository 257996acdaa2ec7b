from fixtures import backend, backends, start  # noqa: F401
