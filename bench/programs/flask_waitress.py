"""The reference for Python's worker: `handler.handle` as OpenFaaS's python3-http images serve it.

    python3 flask_waitress.py PORT

The working directory is the function's folder. Flask makes the event, waitress serves with its defaults.
"""

import os
import sys

from flask import Flask, jsonify, request
from waitress import serve

sys.path.insert(0, os.getcwd())
import handler  # noqa: E402

METHODS = ["GET", "PUT", "POST", "PATCH", "DELETE"]
app = Flask(__name__)


class Event:
    def __init__(self):
        self.body = request.get_data()
        self.headers = request.headers
        self.method = request.method
        self.query = request.args
        self.path = request.path


class Context:
    def __init__(self):
        self.hostname = os.getenv("HOSTNAME", "localhost")


def to_response(answer):
    if not isinstance(answer, dict):
        return ("", 200) if answer is None else answer
    body = answer.get("body", "")
    body = jsonify(body) if isinstance(body, dict) else str(body)
    return body, answer.get("statusCode", 200), answer.get("headers", {})


@app.route("/", defaults={"path": ""}, methods=METHODS)
@app.route("/<path:path>", methods=METHODS)
def call(path):
    return to_response(handler.handle(Event(), Context()))


serve(app, host="127.0.0.1", port=int(sys.argv[1]))
