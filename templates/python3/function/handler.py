def handle(req):
    """Answers a request.

    req: the request's body, as text. What is returned is the answer.

    A secret NAME is a file: os.path.join(os.environ.get("FAAS_SECRETS_DIR", "/var/openfaas/secrets"), "NAME")
    """
    return req
