# The service with its pages and commands. Settings come from the environment: docs/settings.md.

FROM node:20.20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json nest-cli.json .swcrc ./
COPY src src
COPY simulator simulator
COPY web web
RUN npm run build

FROM node:20.20-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM node:20.20-bookworm-slim
ENV NODE_ENV=production \
    HTTP_HOST=0.0.0.0 \
    MQTT_HOST=0.0.0.0 \
    DATA_DIR=/data
WORKDIR /app
COPY package.json LICENSE ./
COPY scripts/run.mjs scripts/run.mjs
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/web/dist web/dist
# Named volumes take their owner from these folders when they are first used.
RUN install -d -o node -g node -m 0700 /data /mosquitto-devices /logs /witness /witness-keys
USER node
VOLUME /data
EXPOSE 3000 1883
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.HTTP_PORT || 3000}/health/live`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Not through npm, which would not pass on the signal to stop.
CMD ["node", "scripts/run.mjs", "serve"]
