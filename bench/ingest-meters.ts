import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync, type MqttClient } from 'mqtt';
import { nowMillis, payloadOf, topicOf, type Published, type PublishPlan } from './ingest-plan.js';

/**
 * The meters of the ingest benchmark, as a process of their own: publishes at QoS 1 as the plan says,
 * waits for every acknowledgement, and answers with the times of both.
 */

process.on('message', (plan: PublishPlan) => {
  publish(plan).then(
    (published) => process.send!(published),
    (error: unknown) => {
      process.stderr.write(`meters: ${String(error)}\n`);
      process.exit(1);
    },
  );
});

async function publish(plan: PublishPlan): Promise<Published> {
  const clients = await connectAll(plan);
  const times: Times = { sentAt: [], acknowledgedAt: [] };
  const end = nowMillis() + plan.millis;
  await Promise.all(
    plan.messagesASecond === null
      ? clients.map((client, index) => publishFlatOut(client, index, plan, end, times))
      : [publishSteadily(clients, plan, plan.messagesASecond, times)],
  );
  await Promise.all(clients.map((client) => client.endAsync()));
  return {
    sentAt: Float64Array.from(times.sentAt),
    acknowledgedAt: Float64Array.from(times.acknowledgedAt),
  };
}

/** Some at a time: who waits too long for an answer gives up. */
async function connectAll({ url, gateways }: PublishPlan): Promise<MqttClient[]> {
  const clients: MqttClient[] = [];
  for (let from = 0; from < gateways.length; from += CONNECTING) {
    const some = gateways.slice(from, from + CONNECTING);
    const options = { reconnectPeriod: 0, keepalive: 600 };
    clients.push(
      ...(await Promise.all(some.map((gateway) => connectAsync(url, { ...gateway, ...options })))),
    );
  }
  return clients;
}

const CONNECTING = 50;

interface Times {
  sentAt: number[];
  acknowledgedAt: number[];
}

/** A new message for every acknowledgement, until the end. Numbers of other connections are left. */
async function publishFlatOut(
  client: MqttClient,
  index: number,
  plan: PublishPlan,
  end: number,
  times: Times,
): Promise<void> {
  let number = index - plan.gateways.length;
  const next = async (): Promise<void> => {
    while (nowMillis() < end && number + plan.gateways.length < plan.most) {
      number += plan.gateways.length;
      await publishOne(client, number, plan, times);
    }
  };
  await Promise.all(Array.from({ length: plan.window }, next));
}

/** At a given pace, whether acknowledgements come or not. */
async function publishSteadily(
  clients: readonly MqttClient[],
  plan: PublishPlan,
  messagesASecond: number,
  times: Times,
): Promise<void> {
  const started = nowMillis();
  const underway: Promise<void>[] = [];
  for (;;) {
    const elapsed = Math.min(nowMillis() - started, plan.millis);
    const due = Math.floor((elapsed / 1_000) * messagesASecond);
    while (underway.length < due) {
      const number = underway.length;
      underway.push(publishOne(clients[number % clients.length]!, number, plan, times));
    }
    if (elapsed === plan.millis) break;
    await sleep(1);
  }
  await Promise.all(underway);
}

async function publishOne(
  client: MqttClient,
  number: number,
  plan: PublishPlan,
  { sentAt, acknowledgedAt }: Times,
): Promise<void> {
  const topic = topicOf(number, plan);
  const payload = payloadOf(number, plan);
  sentAt[number] = nowMillis();
  await client.publishAsync(topic, payload, { qos: 1 });
  acknowledgedAt[number] = nowMillis();
}
