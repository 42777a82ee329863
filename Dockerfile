# Two images, the broker with its pages and the native provider: docs/containers.md says how to build and run them.

FROM python:3.13-slim-bookworm AS python
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
RUN groupadd --gid 10001 wasimoff \
 && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin wasimoff

# What the pages load: Pyodide, the provider's Python as wheels (pip fetches protobuf's) and in memory, the bundled workers.
FROM node:22-bookworm-slim AS pages
WORKDIR /app
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund && npm cache clean --force
COPY pyproject.toml requirements.lock requirements-pages.lock ./
RUN python3 -m venv .venv \
 && .venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-pages.lock
COPY scripts/build_static.mjs scripts/python_archive.mjs scripts/slim_pyodide.mjs scripts/snapshot.mjs scripts/wheels_lock.py scripts/
COPY pyodide_provider/ pyodide_provider/
COPY static/ static/
RUN node scripts/build_static.mjs && rm -rf static/vendor/.wheels

# The project itself, installed in place: the broker finds templates/ and static/ beside its package.
# setuptools is only there for that, at the version and with the digests of the lock.
FROM python AS project
COPY requirements.lock ./
RUN python -m venv --without-pip .venv \
 && sed -n '/^setuptools==/,/[^\\]$/p' requirements.lock > setuptools.lock \
 && pip --python .venv install --require-hashes --only-binary :all: -r setuptools.lock \
 && rm ./*.lock
COPY pyproject.toml README.md LICENSE ./
COPY broker/ broker/
COPY pyodide_provider/ pyodide_provider/
COPY wasimoff/ wasimoff/
COPY scripts/healthy.py scripts/
RUN pip --python .venv install --no-deps --no-build-isolation --editable . \
 && pip --python .venv uninstall --yes setuptools \
 && rm -rf build ./*.egg-info \
 && python -m compileall -q --invalidation-mode unchecked-hash broker pyodide_provider wasimoff

# What each image needs from others. These layers are made anew only when a lock changes.
FROM python AS broker-packages
COPY requirements-broker.lock ./
RUN python -m venv --without-pip .venv \
 && pip --python .venv install --require-hashes --only-binary :all: -r requirements-broker.lock

FROM python AS provider-packages
COPY requirements-provider.lock ./
RUN python -m venv --without-pip .venv \
 && pip --python .venv install --require-hashes --only-binary :all: -r requirements-provider.lock

FROM python AS provider
LABEL org.opencontainers.image.title="wasimoff provider" \
      org.opencontainers.image.description="Lends this machine to a wasimoff broker: runs WASI tasks under wasmtime, Python tasks under Node." \
      org.opencontainers.image.licenses="MIT"
COPY --from=provider-packages /app/.venv/ .venv/
COPY --from=project /app/ ./
# For Python tasks: what else they need comes from the broker.
COPY --from=pages /usr/local/bin/node /usr/local/bin/
ENV XDG_CACHE_HOME=/cache
RUN install --directory --owner=wasimoff --group=wasimoff --mode=0700 /cache
VOLUME /cache
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "scripts/healthy.py", "provider"]
ENTRYPOINT ["python", "-m", "pyodide_provider"]

FROM python AS broker
LABEL org.opencontainers.image.title="wasimoff broker" \
      org.opencontainers.image.description="Takes WASI tasks from clients and gives them to providers; serves the pages." \
      org.opencontainers.image.licenses="MIT"
COPY --from=broker-packages /app/.venv/ .venv/
COPY --from=project /app/ ./
COPY --from=pages /app/static/ static/
COPY templates/ templates/
ENV WASIMOFF_HTTP_LISTEN=:4080 WASIMOFF_FILESTORAGE=/data
RUN install --directory --owner=wasimoff --group=wasimoff --mode=0700 /data
VOLUME /data
EXPOSE 4080
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "scripts/healthy.py", "broker"]
ENTRYPOINT ["python", "-m", "broker"]
