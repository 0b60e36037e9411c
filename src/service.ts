import { mkdir, rename, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import express, { type NextFunction, type Request, type Response } from 'express';
import helmet from 'helmet';
import { AppModule } from './app.module.js';
import { writeBootstrapLogins } from './bootstrap-logins.js';
import { BrokerService } from './broker/broker.service.js';
import type { Settings } from './config.js';
import { FeedAdapter } from './feed/feed-adapter.gateway.js';
import { PublicationService } from './ledger/publication.service.js';
import { ServiceLogger } from './logger.js';
import { DeviceIntakeService } from './metering/device-intake.service.js';
import { serveOpenApi } from './openapi.js';
import { DeviceService } from './parties/device.service.js';

export interface RunningService {
  app: INestApplication;
  httpPort: number;
  /** Null with an external broker. */
  mqttPort: number | null;
  /** Stops taking anything in, finishes what is under way, and lets go of everything. */
  stop(): Promise<void>;
}

/** The built pages, from the built program or from the sources. */
const PAGES = ['../../web/dist', '../web/dist'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

/**
 * Starts the whole service: database, rooms, broker, HTTP and sockets, in this order, and says where
 * it listens in `DATA_DIR/service.json` once it is ready.
 * @param bootstrapLogins file to write the log-ins of a first operator and simulator to, if given
 */
export async function startService(
  settings: Settings,
  bootstrapLogins?: string,
): Promise<RunningService> {
  await mkdir(settings.dataDir, { recursive: true, mode: 0o700 });
  const app = await NestFactory.create<NestExpressApplication>(AppModule.of(settings), {
    logger: new ServiceLogger(settings.logLevel),
    abortOnError: false,
    bodyParser: false,
  });
  try {
    serveHttp(app, settings);
    boundConnections(app, settings);
    // Before the slot clock begins to write: a log that others have seen more of must not go on.
    const publication = app.get(PublicationService);
    await publication.checkAtStart();
    await app.init();
    publication.start();
    const broker = app.get(BrokerService);
    await startBroker(app, broker);
    if (bootstrapLogins !== undefined) await writeBootstrapLogins(app, bootstrapLogins);
    await app.listen(settings.httpPort, settings.httpHost);
    const httpPort = portOf(app);
    const mqttPort = settings.mqttUrl === undefined ? broker.port : null;
    const mqttTlsPort = broker.tlsPort || null;
    await writeWhereabouts(settings, { httpPort, mqttPort, mqttTlsPort, pid: process.pid });
    return { app, httpPort, mqttPort, stop: () => app.close() };
  } catch (error) {
    await app.close().catch(() => undefined);
    throw error;
  }
}

function serveHttp(app: NestExpressApplication, settings: Settings): void {
  app.disable('x-powered-by');
  app.set('trust proxy', settings.trustProxy);
  app.use(
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: {
          defaultSrc: ["'none'"],
          scriptSrc: ["'self'"],
          styleSrc: ["'self'"],
          imgSrc: ["'self'", 'data:'],
          connectSrc: ["'self'", 'ws:', 'wss:'],
          fontSrc: ["'self'"],
          baseUri: ["'none'"],
          formAction: ["'self'"],
          frameAncestors: ["'none'"],
        },
      },
      // Whoever terminates TLS in front of the service says so.
      strictTransportSecurity: false,
    }),
  );
  // The interface's description needs inline styles of its own.
  app.use('/docs', (_request: Request, response: Response, next: NextFunction) => {
    response.setHeader(
      'content-security-policy',
      "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
    );
    next();
  });
  app.useBodyParser('json', { limit: '4mb', strict: true });
  app.useWebSocketAdapter(new FeedAdapter(app, settings.allowedOrigins));
  for (const folder of PAGES) {
    const options = { index: 'index.html', extensions: ['html'], maxAge: 0, redirect: false };
    app.use(express.static(folder, options));
  }
  serveOpenApi(app);
  app.enableShutdownHooks();
}

/** Whoever sends byte by byte, or opens connections without end, keeps nobody else out for long. */
function boundConnections(app: INestApplication, settings: Settings): void {
  const server = app.getHttpServer() as Server;
  server.headersTimeout = 15_000;
  server.requestTimeout = 120_000;
  server.maxConnections = settings.httpMaxConnections;
}

async function startBroker(app: INestApplication, broker: BrokerService): Promise<void> {
  const devices = app.get(DeviceService);
  const intake = app.get(DeviceIntakeService);
  await broker.start({
    authenticate: (username, password) => devices.authenticate(username, password),
    identify: (name) => devices.identify(name),
    ended: (principals) => devices.ended(principals),
    mayPublish: (principal, topic) => devices.mayPublish(principal, topic),
    maySubscribe: (principal, filter) => devices.maySubscribe(principal, filter),
    intake: (message) => intake.intake(message),
  });
}

function portOf(app: INestApplication): number {
  const address: unknown = app.getHttpServer().address();
  return typeof address === 'object' && address !== null && 'port' in address
    ? Number(address.port)
    : 0;
}

async function writeWhereabouts(settings: Settings, whereabouts: object): Promise<void> {
  const file = join(settings.dataDir, 'service.json');
  await writeFile(`${file}.new`, `${JSON.stringify(whereabouts)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
