# The image of every Tailrace process; the command says which: up, api, jobs, migrate.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock requirements-node.lock ./
RUN python -m venv /opt/tailrace \
 && /opt/tailrace/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && python -m venv /opt/node \
 && /opt/node/bin/pip install --no-cache-dir --require-hashes -r requirements-node.lock
COPY app/ui/package.json app/ui/package-lock.json app/ui/.npmrc app/ui/
RUN PATH=/opt/node/bin:$PATH npm --prefix app/ui ci
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY jobs jobs
COPY storage storage
RUN /opt/tailrace/bin/python -m app.cli openapi > app/ui/openapi.json \
 && export PATH=/opt/node/bin:$PATH \
 && npm --prefix app/ui run types \
 && npm --prefix app/ui run build
RUN /opt/tailrace/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
COPY --from=build /opt/tailrace /opt/tailrace
RUN useradd --system --create-home --home-dir /var/lib/tailrace tailrace
ENV PATH=/opt/tailrace/bin:$PATH TAILRACE_DATA_DIR=/var/lib/tailrace/data TAILRACE_LOG_FORMAT=json
USER tailrace
WORKDIR /var/lib/tailrace
EXPOSE 4200
STOPSIGNAL SIGTERM
ENTRYPOINT ["tailrace"]
CMD ["--help"]
