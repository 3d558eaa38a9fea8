# Roundtrip with its Airflow, for docker-compose.yaml. The base is an argument: any Debian with Python 3.11 or 3.12 will do.
ARG BASE=docker.io/library/python:3.12-slim-bookworm
FROM ${BASE}

RUN apt-get update \
 && apt-get install --yes --no-install-recommends git tini \
 && rm -rf /var/lib/apt/lists/*

# In a container the engine's usual address is the filter's: docker-compose.yaml puts its socket there, for those that need it.
RUN useradd --create-home --uid 50000 roundtrip \
 && install --directory --owner roundtrip /opt/roundtrip /var/lib/roundtrip /run/roundtrip /run/monitoring \
 && ln --symbolic /run/engine/engine.sock /var/run/docker.sock
USER roundtrip
WORKDIR /opt/roundtrip

# Dependencies first: they change less often than the code.
COPY --chown=roundtrip requirements.txt requirements.lock ./
RUN python3 -m venv .venv \
 && .venv/bin/python -m pip install --no-cache-dir "$(grep '^uv==' requirements.txt)" \
 && VIRTUAL_ENV=/opt/roundtrip/.venv .venv/bin/python -m uv pip install --no-cache --require-hashes --compile-bytecode -r requirements.lock

COPY --chown=roundtrip . .

ENV PATH=/opt/roundtrip/.venv/bin:$PATH \
    PYTHONPATH=/opt/roundtrip/include:/opt/roundtrip/plugins \
    AIRFLOW_HOME=/var/lib/roundtrip/airflow \
    ROUNDTRIP_HOME=/var/lib/roundtrip \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/roundtrip/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/roundtrip/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False

ENTRYPOINT ["tini", "--", "airflow"]
CMD ["version"]
