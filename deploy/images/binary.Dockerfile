# What functions of the runtimes binary and bash are built on. deploy/images/function adds them, and how they start.
ARG BASE=docker.io/library/debian:bookworm-slim@sha256:abd67ffcfa541b485a3dff59865ab629aa048a6c613e639d36e7456b0b229241
FROM ${BASE}
# As it is in functions' pods, with a name.
RUN grep -q '^app:' /etc/passwd || { \
        echo 'app:x:12000:12000:function:/home/app:/sbin/nologin' >>/etc/passwd && \
        echo 'app:x:12000:' >>/etc/group; }
COPY binary/ /
ENV LANG=C.UTF-8 \
    TMPDIR=/tmp \
    FAAS_SECRETS_DIR=/var/openfaas/secrets
WORKDIR /home/app/function
USER 12000:12000
EXPOSE 8080
ENTRYPOINT []
CMD ["fwatchdog"]
