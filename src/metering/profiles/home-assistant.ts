import { memberAt, pathOf } from './value.js';
import { parseText } from '../exact-json.js';
import { ARRIVAL, parsePayload, session } from './desk.js';
import { openFields } from './fields.js';
import { ENERGY_UNITS, POWER_UNITS } from './mapping.js';
import type { Unit } from './mapping.js';
import { nothing, refused } from './session.js';
import type { Profile, ProfileMessage } from './session.js';

/**
 * Home Assistant: states that `mqtt_statestream` publishes (`<base>/sensor/<entity>/state`, a quoted
 * number; its unit in a topic beside it), and devices that announce themselves by MQTT discovery
 * (`homeassistant/sensor/<id>/config`: unit, topic and place of the value). Which entity is which
 * register only a mapping can say.
 */
export const homeAssistant: Profile = {
  name: 'home-assistant',
  filters: (topic) => [`${topic}/#`],
  open(context) {
    const learned = new Learned();
    const fields = openFields(context, {
      fields: [],
      timeOf: () => ARRIVAL,
      unitOf: (topic) => learned.unitOf(topic),
      pathOf: (topic) => learned.pathOf(topic),
    });
    return session((message) => {
      // What stays true may be retained, as opposed to a reading.
      if (learned.from(message)) return nothing();
      if (!context.mapping.sources && STATE.test(message.topic)) {
        const detail = `${message.topic.slice(-200)}: a mapping must say which register it is`;
        return refused('not_understood', detail);
      }
      return fields.take(message);
    });
  },
};

const STATE = /(^|\/)sensor\/[^/]+\/state$/;
const UNIT_TOPIC = /^(.*\/)unit_of_measurement$/;
const CONFIG_TOPIC = /(^|\/)sensor\/([^/]+\/){1,2}config$/;
/** `{{ value_json.energy }}`, `{{ value_json['a']['b'] | float }}`: members only, no expressions. */
const TEMPLATE =
  /^\{\{\s*value_json((?:\.\w+|\[['"][^'"\]]+['"]\])+)\s*(?:\|\s*(?:float|int)(?:\([^)]*\))?\s*)?\}\}$/;

/** What is known of topics before their values come. */
class Learned {
  private readonly units = new Map<string, Unit>();
  private readonly paths = new Map<string, readonly string[]>();

  /** @returns whether the message was about other messages */
  from({ topic, payload }: ProfileMessage): boolean {
    const unit = UNIT_TOPIC.exec(topic);
    if (unit) {
      const text = parseText(payload).trim().replaceAll('"', '');
      this.learn(`${unit[1]!}state`, text, undefined);
      return true;
    }
    if (CONFIG_TOPIC.test(topic)) {
      if (payload.length > 0) this.announced(parsePayload(payload));
      return true;
    }
    return /\/(last_updated|last_changed|device_class|state_class|friendly_name|icon)$/.test(topic);
  }

  unitOf(topic: string): Unit | undefined {
    return this.units.get(topic);
  }

  pathOf(topic: string): readonly string[] | undefined {
    return this.paths.get(topic);
  }

  /** Long and short names of discovery; `~` stands for a base topic. */
  private announced(config: unknown): void {
    const text = (...names: string[]): string | undefined =>
      names.map((name) => memberAt(config, [name])).find((one) => typeof one === 'string') as
        string | undefined;
    const base = text('~') ?? '';
    const topic = text('state_topic', 'stat_t')?.replace(/^~|~$/, () => base);
    const unit = text('unit_of_measurement', 'unit_of_meas');
    if (topic === undefined || unit === undefined) return;
    const template = text('value_template', 'val_tpl');
    const names = template === undefined ? undefined : TEMPLATE.exec(template.trim())?.[1];
    const path = names?.replace(/\[['"]([^'"\]]+)['"]\]/g, '.$1').slice(1);
    this.learn(topic, unit, path === undefined ? undefined : pathOf(path));
  }

  private learn(topic: string, unitText: string, path: readonly string[] | undefined): void {
    const unit = [...ENERGY_UNITS, ...POWER_UNITS].find((one) => one === unitText);
    if (unit === undefined || (this.units.size >= MOST_TOPICS && !this.units.has(topic))) return;
    this.units.set(topic, unit);
    if (path) this.paths.set(topic, path);
  }
}

const MOST_TOPICS = 1_000;
