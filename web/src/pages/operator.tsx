/** The operator's page: what the microgrid closed, what its meters owe, and what was refused. */
import type { ReactNode } from 'react';
import type { Alarm, ClosedSlot, Microgrid, Page, Rejection, WatchedMeter } from '../answers.js';
import { formatMoment, formatSlot, formatSpan } from '../format.js';
import type { Live } from '../live.js';
import { AlarmList } from '../panels/alarm-list.js';
import { useMarketFairness } from '../fairness.js';
import { DevicesPanel } from '../panels/devices-panel.js';
import { MarketFairnessPanel } from '../panels/market-fairness.js';
import { MeterDayPanel } from '../panels/meter-day.js';
import { MeterList } from '../panels/meter-list.js';
import { PriceChart } from '../panels/price-chart.js';
import { RejectionList } from '../panels/rejection-list.js';
import { SlotClock } from '../panels/slot-clock.js';
import { SlotList } from '../panels/slot-list.js';
import { useResource } from '../resource.js';
import { useSlots } from './household.js';
import { OfMicrogrid } from './of-microgrid.js';

interface OperatorPageProps {
  live: Live;
  microgridId: string;
}

export function OperatorPage({ live, microgridId }: OperatorPageProps): ReactNode {
  return (
    <OfMicrogrid microgrid={live.microgrid}>
      {(known) => <Panels live={live} microgrid={known} microgridId={microgridId} />}
    </OfMicrogrid>
  );
}

function Panels({ live, microgrid }: OperatorPageProps & { microgrid: Microgrid }): ReactNode {
  const { api } = live;
  const path = `/v1/operator/microgrids/${microgrid.microgrid}`;
  const version = live.feed.state.versions.slots;
  const slots = useSlots(live, microgrid);
  const fairness = useMarketFairness(live, microgrid.microgrid);
  const rejections = useResource(
    `rejections ${path}`,
    (signal) => api.get<Page<Rejection>>(`${path}/rejections?limit=100`, signal),
    version,
  );
  const alarms = useResource(
    `alarms ${path}`,
    (signal) => api.get<Page<Alarm>>(`${path}/alarms?limit=100`, signal),
    version,
  );
  const meters = useResource(
    `meters ${path}`,
    async (signal) => (await api.list<WatchedMeter>(`${path}/meters`, signal)).items,
    version,
  );
  return (
    <>
      <div className="band hero">
        <div className="within hero-grid operator-hero">
          <Overview microgrid={microgrid} slots={slots.data ?? []} />
          <div className="hero-side">
            <SlotClock microgrid={microgrid} clock={live.clock} />
          </div>
        </div>
      </div>
      <div className="within sheet operator-sheet">
        <PriceChart slots={slots} microgrid={microgrid} />
        <SlotList slots={slots} microgrid={microgrid} />
        <MeterList meters={meters} microgrid={microgrid} />
        <RejectionList rejections={rejections} />
        <MeterDayPanel api={api} meters={meters} microgrid={microgrid} />
        <DevicesPanel api={api} microgrid={microgrid} meters={meters} />
        <MarketFairnessPanel slots={fairness} microgrid={microgrid} />
        <AlarmList alarms={alarms} microgrid={microgrid} />
      </div>
    </>
  );
}

function Overview({ microgrid, slots }: { microgrid: Microgrid; slots: ClosedSlot[] }): ReactNode {
  const { closedThrough, now, slotMinutes } = microgrid;
  const behind = closedThrough === null ? null : Date.parse(now) - Date.parse(closedThrough);
  const quarantined = slots.filter((slot) => slot.status === 'quarantined').length;
  return (
    <section className="overview" aria-labelledby="overview-title" data-testid="overview">
      <h1 id="overview-title">{verdict(quarantined, behind, microgrid)}</h1>
      <dl className="hero-figures many">
        <Fact name="Households" value={String(microgrid.households)} />
        <Fact
          name="Closed through"
          value={closedThrough === null ? '–' : formatSlot(closedThrough, microgrid)}
          more={behind === null ? 'no slot yet' : `${formatSpan(behind)} behind the clock`}
        />
        <Fact name="Mechanism" value={microgrid.mechanism} more={`${microgrid.pricing} price`} />
        <Fact
          name="Slots of"
          value={`${slotMinutes} min`}
          more={`${formatSpan(microgrid.graceSeconds * 1000)} grace`}
        />
      </dl>
    </section>
  );
}

function Fact({ name, value, more }: { name: string; value: string; more?: string }): ReactNode {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value}
        {more !== undefined && <span>{more}</span>}
      </dd>
    </div>
  );
}

function verdict(quarantined: number, behind: number | null, microgrid: Microgrid): string {
  if (quarantined === 1) return 'One slot of the last day could not be closed.';
  if (quarantined > 1) return `${quarantined} slots of the last day could not be closed.`;
  if (behind === null) return 'No slot has closed yet.';
  const due = microgrid.slotMinutes * 60_000 + microgrid.graceSeconds * 1000;
  if (behind > 2 * due) {
    return `Closing is behind: the last slot ended ${formatMoment(microgrid.closedThrough!, microgrid.timeZone)}.`;
  }
  return `${microgrid.name} is settled up to the last slot.`;
}
