def handle(event, context):
    """Answers a request.

    event: body (bytes), headers, method, query, path. context: hostname.

    A secret NAME is a file: os.path.join(os.environ.get("FAAS_SECRETS_DIR", "/var/openfaas/secrets"), "NAME")
    """
    return {
        "statusCode": 200,
        "body": "Hello from OpenFaaS!",
    }
