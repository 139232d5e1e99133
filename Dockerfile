# docker build -t wristsleep .   then see "Docker" in README.md; --target service for the service, docs/service.md
FROM python:3.11-slim AS base
WORKDIR /wristsleep
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt \
 && useradd --uid 1000 --no-create-home wristsleep && mkdir artifacts && chown wristsleep artifacts
COPY . .
# the root may be read-only: what is written goes to artifacts, and what libraries keep for themselves to /tmp
ENV PYTHONDONTWRITEBYTECODE=1 HOME=/tmp MPLCONFIGDIR=/tmp NUMBA_CACHE_DIR=/tmp
USER wristsleep
VOLUME /wristsleep/artifacts
ENTRYPOINT ["python"]

FROM base AS service
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["-m", "watch_sim", "serve", "bundles/gru-int8", "--host", "0.0.0.0", "--token_file", "/run/secrets/bearers"]

FROM base
CMD ["train.py"]
