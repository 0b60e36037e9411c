import type { IncomingMessage } from 'node:http';
import type { INestApplicationContext } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';

// As the adapter declares them: it brings its own copy of Socket.IO.
type SocketServer = ReturnType<IoAdapter['createIOServer']>;
type SocketOptions = NonNullable<Parameters<IoAdapter['createIOServer']>[1]>;

/** A token and a subscription fit many times over. */
const MAX_MESSAGE_BYTES = 16 * 1024;
const CONNECT_TIMEOUT_MILLIS = 10_000;

/**
 * Opens the socket server as the feed needs it: WebSocket only, small messages, and browsers only
 * from the page's own origin or an allowed one. Set it with `app.useWebSocketAdapter`.
 */
export class FeedAdapter extends IoAdapter {
  constructor(
    app: INestApplicationContext,
    private readonly allowedOrigins: readonly string[],
  ) {
    super(app);
  }

  override createIOServer(port: number, options?: SocketOptions): SocketServer {
    const own: Partial<SocketOptions> = {
      transports: ['websocket'],
      // CORS does not guard WebSockets; this does.
      allowRequest: (request: IncomingMessage, answer: (error: null, allowed: boolean) => void) =>
        answer(null, isAllowedOrigin(request, this.allowedOrigins)),
      maxHttpBufferSize: MAX_MESSAGE_BYTES,
      connectTimeout: CONNECT_TIMEOUT_MILLIS,
      perMessageDeflate: false,
      serveClient: false,
    };
    const server = super.createIOServer(port, { ...options, ...own } as SocketOptions);
    // Nothing is served outside of named namespaces, and nobody may wait there.
    server.of('/').use((_socket, next) => next(new Error('Connect to a namespace, e.g. /feed.')));
    return server;
  }
}

/** Devices send no Origin; browsers always do, and scripts of a page cannot change it. */
function isAllowedOrigin(request: IncomingMessage, allowed: readonly string[]): boolean {
  const { origin, host } = request.headers;
  if (origin === undefined || allowed.includes(origin)) return true;
  return host !== undefined && URL.canParse(origin) && new URL(origin).host === host;
}
