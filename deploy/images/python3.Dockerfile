# What functions of the runtime python3 are built on. deploy/images/function adds them, and how they start.
ARG BASE=docker.io/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
FROM ${BASE}
# As it is in functions' pods, with a name.
RUN grep -q '^app:' /etc/passwd || { \
        echo 'app:x:12000:12000:function:/home/app:/sbin/nologin' >>/etc/passwd && \
        echo 'app:x:12000:' >>/etc/group; }
COPY python3/ /
# What is compiled is not compiled again at each start.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/faas/runtimes/python
ENV LANG=C.UTF-8 \
    TMPDIR=/tmp \
    FAAS_SECRETS_DIR=/var/openfaas/secrets
WORKDIR /home/app/function
USER 12000:12000
EXPOSE 8080
ENTRYPOINT []
CMD ["fwatchdog"]
