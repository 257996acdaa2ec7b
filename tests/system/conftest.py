from aws import aws, judge  # noqa: F401
from fixtures import at, backend, backends, start  # noqa: F401
