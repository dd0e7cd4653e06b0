# The program with the providers of `PROVIDERS`. Run it on a directory with a declaration:
#   docker run --rm --volume "$PWD:/work" --user "$(id -u):$(id -g)" mtasts-deploy plan
# This file is linted by the tests; no image was built from it there.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim AS build
ARG PROVIDERS=route53,cloudflare,powerdns
COPY . /source
RUN python -m venv /opt/mtasts-deploy \
    && /opt/mtasts-deploy/bin/pip install --no-cache-dir --no-compile "/source[${PROVIDERS}]" \
    && /opt/mtasts-deploy/bin/python -m compileall -q /opt/mtasts-deploy

FROM python:${PYTHON}-slim
COPY --from=build /opt/mtasts-deploy /opt/mtasts-deploy
ENV PATH="/opt/mtasts-deploy/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
RUN useradd --create-home --uid 10001 deploy && mkdir /work && chown deploy /work
USER 10001
WORKDIR /work
ENTRYPOINT ["deploy"]
CMD ["--help"]
