#!/usr/bin/env bash
# The request's body comes on standard input, the answer goes to standard output; another exit status than 0 is a 500.
# A secret NAME is the file "${FAAS_SECRETS_DIR:-/var/openfaas/secrets}/NAME".
set -euo pipefail

cat
