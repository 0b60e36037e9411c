import type { Aedes, Client } from 'aedes';

/**
 * Bounds what the embedded broker keeps for a client that is away: beyond `mostMessages` the newest
 * is dropped, as Mosquitto does, so that an abandoned session cannot fill the memory.
 */
export function capQueues(broker: Aedes, mostMessages: number): void {
  const { persistence } = broker as unknown as { persistence: Persistence };
  const queued = new Map<string, number>();
  const enqueueAll = persistence.outgoingEnqueueCombi.bind(persistence);
  const clear = persistence.outgoingClearMessageId.bind(persistence);

  persistence.outgoingEnqueueCombi = async (subscriptions, packet) => {
    const room = subscriptions.filter(({ clientId }) => (queued.get(clientId) ?? 0) < mostMessages);
    for (const { clientId } of room) queued.set(clientId, (queued.get(clientId) ?? 0) + 1);
    await enqueueAll(room, packet);
  };
  persistence.outgoingEnqueue = (subscription, packet) =>
    persistence.outgoingEnqueueCombi([subscription], packet);
  persistence.outgoingClearMessageId = async (client, packet) => {
    const cleared = await clear(client, packet);
    const left = (queued.get(client.id) ?? 0) - 1;
    if (cleared && left > 0) queued.set(client.id, left);
    else if (cleared) queued.delete(client.id);
    return cleared;
  };
}

/**
 * Keeps of a session only the subscriptions that were granted: aedes keeps every one of a packet as
 * soon as one of them is granted, and would gather messages for all of them.
 */
export function keepGranted(
  broker: Aedes,
  isGranted: (client: Client, filter: string) => boolean,
): void {
  const { persistence } = broker as unknown as { persistence: Persistence };
  const add = persistence.addSubscriptions.bind(persistence);
  persistence.addSubscriptions = (client, subscriptions) =>
    add(
      client,
      subscriptions.filter(({ topic }) => isGranted(client, topic)),
    );
}

/** The part of aedes-persistence that is used here. */
interface Persistence {
  addSubscriptions(client: Client, subscriptions: readonly { topic: string }[]): Promise<void>;
  outgoingEnqueue(subscription: { clientId: string }, packet: unknown): Promise<void>;
  outgoingEnqueueCombi(
    subscriptions: readonly { clientId: string }[],
    packet: unknown,
  ): Promise<void>;
  outgoingClearMessageId(client: { id: string }, packet: unknown): Promise<unknown>;
}
