/** What the embedded broker and an external one have in common. */
export interface BrokerLink {
  start(): Promise<void>;
  /** Resolves when the broker has the message. */
  publish(topic: string, payload: string | Buffer): Promise<void>;
  /** Takes in what is published here as well, besides readings on native topics. */
  follow(filters: readonly Followed[]): Promise<void>;
  connected(): boolean;
  /** Ends the connections of one user, e.g. when its credential is revoked. */
  disconnect(username: string): void;
  /** Waits for messages being taken in, then ends. */
  stop(): Promise<void>;
  /** Where the embedded broker listens; 0 for an external one. */
  readonly port: number;
  /** The same with TLS; 0 where there is none. */
  readonly tlsPort: number;
  /** Whom the embedded broker refused or held back since the start, by reason. */
  refusals(): Readonly<Record<string, number>>;
}

/** A topic filter of devices that do not publish on native topics. */
export interface Followed {
  readonly filter: string;
  readonly qos: 0 | 1;
}

/** A message as the service takes it in. */
export interface IncomingMessage {
  readonly topic: string;
  readonly payload: Buffer;
  /** Whether the broker had kept it and delivers it late, on a new subscription. */
  readonly retained: boolean;
  /** Who published it, where the broker says so. */
  readonly username?: string;
  /** Whether the broker may have brought the same message before, by no fault of who sent it. */
  readonly mayRepeat?: boolean;
}

/** Who a connection belongs to. */
export interface Principal {
  readonly username: string;
}

export interface BrokerOptions<P extends Principal = Principal> {
  /** Null when the name or the secret is wrong. */
  authenticate(username: string | undefined, password: Buffer | undefined): Promise<P | null>;
  /** Who has a certificate of this name; null when nobody may. The certificate is good already. */
  identify?(name: string): Promise<P | null>;
  /** Those of the connected whose access has ended or whose secret has changed. */
  ended?(principals: readonly P[]): Promise<readonly P[]>;
  /** `ignored` is acknowledged and dropped: devices say more than they are asked for. */
  mayPublish(principal: P, topic: string): Promise<boolean | 'ignored'> | boolean | 'ignored';
  maySubscribe(principal: P, filter: string): Promise<boolean> | boolean;
  /**
   * Resolves once the message can no longer be lost: only then is it acknowledged. When it rejects,
   * the message is not acknowledged and comes again.
   */
  intake(message: IncomingMessage): Promise<void>;
}

/** Why the broker cannot be used and what to do about it, in one line. */
export class BrokerProblem extends Error {
  override name = 'BrokerProblem';
}
