from aws import aws, judge  # noqa: F401
from fixtures import backend, backends, start  # noqa: F401
