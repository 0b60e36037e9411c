/** The household's power at this moment: one sentence, and a plan of where it flows. */
import type { ReactNode } from 'react';
import { formatPower } from '../format.js';
import type { HouseholdPower } from '../power.js';

/** Below this a meter's noise would read as trade. */
const STILL_W = 10;

interface LivePowerProps {
  power: HouseholdPower;
  hasGeneration: boolean;
  hasStorage: boolean;
  /** When the newest reading was made, already formatted; null before the first. */
  readAt: string | null;
  /** Nothing is heard just now: this is what it was. */
  stale: boolean;
}

export function LivePower({
  power,
  hasGeneration,
  hasStorage,
  readAt,
  stale,
}: LivePowerProps): ReactNode {
  return (
    <section
      className={stale ? 'live-power stale' : 'live-power'}
      aria-labelledby="live-power-title"
      data-testid="live-power"
    >
      <h1 id="live-power-title" data-testid="live-sentence">
        {sentence(power)}
      </h1>
      <p className="live-read-at">
        {readAt === null
          ? 'The meters report again within moments.'
          : `By the meters’ reading of ${readAt}.`}
      </p>
      <Plan power={power} hasGeneration={hasGeneration} hasStorage={hasStorage} />
      <dl className="unseen">
        {facts(power, hasGeneration, hasStorage).map(({ name, value, id }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd data-testid={id}>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function sentence({ gridW, generatedW, storageW }: HouseholdPower): string {
  if (gridW === null) return 'Waiting for your meters.';
  if (gridW < -STILL_W) return `You are sending ${formatPower(-gridW)} to the street.`;
  if (gridW > STILL_W) return `You are drawing ${formatPower(gridW)} from the street.`;
  if (storageW !== null && storageW < -STILL_W) return 'Your battery carries the house.';
  if (generatedW !== null && generatedW > STILL_W) return 'Your own roof carries the house.';
  return 'Nothing flows in or out just now.';
}

function Plan({
  power,
  hasGeneration,
  hasStorage,
}: Omit<LivePowerProps, 'readAt' | 'stale'>): ReactNode {
  const { gridW, generatedW, storageW, usedW } = power;
  const alone = !hasGeneration && !hasStorage;
  return (
    <svg
      className={alone ? 'plan alone' : 'plan'}
      viewBox={alone ? '200 56 320 108' : '0 0 520 236'}
      aria-hidden="true"
      focusable="false"
    >
      <Flow path="M150 52 H232 V92" watts={generatedW ?? 0} kind="own" shown={hasGeneration} />
      <Flow path="M150 186 H232 V146" watts={-(storageW ?? 0)} kind="own" shown={hasStorage} />
      <Flow path="M404 118 H296" watts={gridW ?? 0} kind="street" shown />
      <path className="plan-house" d="M206 156V104L260 64L314 104V156Z" />
      <text className="plan-value" x="260" y="126">
        {watts(usedW)}
      </text>
      <text className="plan-name" x="260" y="144">
        in use
      </text>
      {hasGeneration && (
        <Node x={76} y={52} name="Roof" value={watts(generatedW)}>
          <circle cx="0" cy="0" r="7" />
          <path d="M0-13V-10M0 10V13M-13 0H-10M10 0H13M-9-9-7-7M7 7 9 9M-9 9-7 7M7-7 9-9" />
        </Node>
      )}
      {hasStorage && (
        <Node x={76} y={186} name={storageName(storageW)} value={watts(storageW, true)}>
          <path d="M-13-8H10V8H-13ZM13-3V3" />
        </Node>
      )}
      <Node x={460} y={118} name={gridName(gridW)} value={watts(gridW, true)}>
        <path d="M-15 9-8-5 0 8 8-5 15 9" />
      </Node>
    </svg>
  );
}

interface FlowProps {
  path: string;
  /** Along the path (+) or against it (−). */
  watts: number;
  kind: 'own' | 'street';
  shown: boolean;
}

function Flow({ path, watts: power, kind, shown }: FlowProps): ReactNode {
  if (!shown) return null;
  const flows = Math.abs(power) > STILL_W;
  const direction = power < 0 ? 'against' : 'along';
  return (
    <g className={`flow ${kind} ${flows ? direction : 'still'}`}>
      <path className="flow-wire" d={path} />
      {flows && <path className="flow-current" d={path} />}
    </g>
  );
}

interface NodeProps {
  x: number;
  y: number;
  name: string;
  value: string;
  children: ReactNode;
}

function Node({ x, y, name, value, children }: NodeProps): ReactNode {
  return (
    <g transform={`translate(${x} ${y})`}>
      <g className="plan-sign" transform="translate(0 -28)">
        {children}
      </g>
      <text className="plan-value" y="8">
        {value}
      </text>
      <text className="plan-name" y="26">
        {name}
      </text>
    </g>
  );
}

function facts(
  { gridW, generatedW, storageW, usedW }: HouseholdPower,
  hasGeneration: boolean,
  hasStorage: boolean,
): { name: string; value: string; id: string }[] {
  return [
    { name: gridName(gridW), value: watts(gridW, true), id: 'power-grid' },
    { name: 'Used in the house', value: watts(usedW), id: 'power-used' },
    ...(hasGeneration
      ? [{ name: 'Generated on the roof', value: watts(generatedW), id: 'power-generated' }]
      : []),
    ...(hasStorage
      ? [{ name: storageName(storageW), value: watts(storageW, true), id: 'power-storage' }]
      : []),
  ];
}

function gridName(gridW: number | null): string {
  if (gridW === null || Math.abs(gridW) <= STILL_W) return 'Street';
  return gridW > 0 ? 'from the street' : 'to the street';
}

function storageName(storageW: number | null): string {
  if (storageW === null || Math.abs(storageW) <= STILL_W) return 'Battery at rest';
  return storageW > 0 ? 'Battery charging' : 'Battery supplying';
}

function watts(power: number | null, magnitude = false): string {
  if (power === null) return '–';
  return formatPower(magnitude ? Math.abs(power) : power);
}
