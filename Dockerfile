# The image of every Tailrace process; the command says which: up, api, jobs, migrate.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock .
RUN python -m venv /opt/tailrace \
 && /opt/tailrace/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY jobs jobs
COPY storage storage
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
