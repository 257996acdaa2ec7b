"""AWS as moto plays it, on one free port; aws.py starts it. The first line is {"port": PORT}.

With INITIAL_NO_AUTH_ACTION_COUNT=N in the environment it checks the signature of every call but
the first N.
"""
import json
import sys

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(json.dumps({"port": server.server_port}))
sys.stdout.flush()
server.serve_forever()
