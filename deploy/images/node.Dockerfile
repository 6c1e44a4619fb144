# What functions of the runtime node are built on. deploy/images/function adds them, and how they start.
ARG BASE=docker.io/library/node:20-bookworm-slim@sha256:2cf067cfed83d5ea958367df9f966191a942351a2df77d6f0193e162b5febfc0
FROM ${BASE}
# As it is in functions' pods, with a name.
RUN grep -q '^app:' /etc/passwd || { \
        echo 'app:x:12000:12000:function:/home/app:/sbin/nologin' >>/etc/passwd && \
        echo 'app:x:12000:' >>/etc/group; }
COPY node/ /
ENV LANG=C.UTF-8 \
    TMPDIR=/tmp \
    FAAS_SECRETS_DIR=/var/openfaas/secrets
WORKDIR /home/app/function
USER 12000:12000
EXPOSE 8080
ENTRYPOINT []
CMD ["fwatchdog"]
