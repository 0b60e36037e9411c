/** The street's price over the last slots as a step line between the feed-in and the retail price. */
import { useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import uPlot from 'uplot';
import type { ClosedSlot, Microgrid } from '../answers.js';
import { formatEnergy, formatKwh, formatPrice, formatSlot, formatTime } from '../format.js';
import type { Resource } from '../resource.js';
import { Loaded, Panel } from './panel.js';

interface PriceChartProps {
  slots: Resource<ClosedSlot[]>;
  microgrid: Microgrid;
}

export function PriceChart({ slots, microgrid }: PriceChartProps): ReactNode {
  return (
    <Panel
      title="Price on the street"
      name="price"
      remark={
        <>
          per kWh, between {formatPrice(microgrid.tariff.feedInMicroPerKwh, microgrid.currency)} and{' '}
          {formatPrice(microgrid.tariff.retailMicroPerKwh, microgrid.currency)}
        </>
      }
    >
      <Loaded
        of={slots}
        lines={6}
        isEmpty={(all) => all.length === 0}
        empty="No slot has closed yet. The first price appears when this one does."
      >
        {(all) => <Figure slots={all} microgrid={microgrid} />}
      </Loaded>
    </Panel>
  );
}

function Figure({ slots, microgrid }: { slots: ClosedSlot[]; microgrid: Microgrid }): ReactNode {
  const { currency } = microgrid;
  return (
    <figure className="chart" aria-label={summary(slots, microgrid)} data-testid="price-chart">
      <Plot slots={slots} microgrid={microgrid} />
      <figcaption>
        <ul className="legend" aria-hidden="true">
          <li className="legend-price">Street’s price</li>
          <li className="legend-bound">Tariff</li>
          <li className="legend-energy">Energy traded</li>
        </ul>
        <details>
          <summary>As a table</summary>
          <div className="scroll" tabIndex={0} role="group" aria-label="Prices of the last slots">
            <table className="figures">
              <thead>
                <tr>
                  <th scope="col">Slot</th>
                  <th scope="col" className="number">
                    Price per kWh
                  </th>
                  <th scope="col" className="number">
                    Traded, kWh
                  </th>
                </tr>
              </thead>
              <tbody>
                {[...slots].reverse().map((slot) => (
                  <tr key={slot.slot}>
                    <th scope="row">{formatSlot(slot.slot, microgrid)}</th>
                    <td className="number">
                      {slot.clearingPriceMicroPerKwh === null
                        ? 'no trade'
                        : formatPrice(slot.clearingPriceMicroPerKwh, currency)}
                    </td>
                    <td className="number">{formatKwh(slot.tradedWh)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      </figcaption>
    </figure>
  );
}

function Plot({ slots, microgrid }: { slots: ClosedSlot[]; microgrid: Microgrid }): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const dark = useDark();
  const data = useMemo(() => columns(slots, microgrid), [slots, microgrid]);
  const latest = useRef(data);
  latest.current = data;
  const { timeZone, currency } = microgrid;

  useEffect(() => {
    const host = box.current;
    if (!host) return undefined;
    const chart = new uPlot(options(host, timeZone, currency), latest.current, host);
    plot.current = chart;
    const resize = new ResizeObserver(() => chart.setSize(sizeOf(host)));
    resize.observe(host);
    return () => {
      resize.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [dark, timeZone, currency]);

  useEffect(() => plot.current?.setData(data), [data]);

  return <div className="plot" ref={box} aria-hidden="true" />;
}

/** Where a column of `columns` stands. */
const RETAIL = 2;
const FEED_IN = 3;

/** Columns for uPlot. The last price is held to the end of its slot, so that it is a step too. */
function columns(slots: readonly ClosedSlot[], microgrid: Microgrid): uPlot.AlignedData {
  const tariffs = slots.map((slot) => slot.tariff ?? microgrid.tariff);
  const at = slots.map((slot) => Date.parse(slot.slot) / 1000);
  const price = slots.map((slot) => slot.clearingPriceMicroPerKwh);
  const traded: (number | null)[] = slots.map((slot) => slot.tradedWh);
  const last = slots.at(-1);
  if (last) {
    at.push(Date.parse(last.slotEnd) / 1000);
    price.push(last.clearingPriceMicroPerKwh);
    traded.push(null);
    tariffs.push(last.tariff ?? microgrid.tariff);
  }
  const retail = tariffs.map(({ retailMicroPerKwh }) => retailMicroPerKwh);
  const feedIn = tariffs.map(({ feedInMicroPerKwh }) => feedInMicroPerKwh);
  return [at, traded, retail, feedIn, price];
}

function options(host: HTMLElement, timeZone: string, currency: string): uPlot.Options {
  const style = getComputedStyle(host);
  const color = (name: string): string => style.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: color('--ink-soft'),
    font: `12px ${style.fontFamily}`,
    grid: { stroke: color('--rule'), width: 1 },
    ticks: { show: false },
  };
  const stepped = uPlot.paths.stepped!({ align: 1 });
  const bound: uPlot.Series = {
    scale: 'price',
    stroke: color('--grid-ink'),
    dash: [5, 4],
    width: 1,
    paths: stepped,
    points: { show: false },
  };
  const name = (chart: uPlot, text: string, series: number, below: boolean): void => {
    const price = chart.data[series]?.at(-1);
    if (typeof price !== 'number') return;
    const { ctx, bbox } = chart;
    const dots = uPlot.pxRatio;
    ctx.save();
    ctx.font = `${12 * dots}px ${style.fontFamily}`;
    ctx.fillStyle = color('--ink-soft');
    ctx.textAlign = 'right';
    ctx.textBaseline = below ? 'top' : 'bottom';
    const y = chart.valToPos(price, 'price', true) + (below ? 4 : -3) * dots;
    ctx.fillText(text, bbox.left + bbox.width - 2 * dots, y);
    ctx.restore();
  };
  return {
    ...sizeOf(host),
    padding: [18, 20, 0, 0],
    hooks: {
      draw: [
        (chart) => {
          name(chart, 'Retail', RETAIL, false);
          name(chart, 'Feed-in', FEED_IN, true);
        },
      ],
    },
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: true },
      price: { range: (_, low, high) => [Math.max(0, low - (high - low) * 0.18), high * 1.06] },
      // Bars stay in the lower third, below the price.
      energy: { range: (_, __, high) => [0, Math.max(high, 1) * 3.2] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 70,
        values: (_, at) => at.map((seconds) => formatTime(seconds * 1000, timeZone)),
      },
      {
        ...axis,
        scale: 'price',
        size: 58,
        space: 44,
        values: (_, prices) => prices.map((price) => formatPrice(Math.round(price), currency)),
      },
    ],
    series: [
      {},
      {
        scale: 'energy',
        fill: color('--bar'),
        stroke: 'transparent',
        width: 0,
        paths: uPlot.paths.bars!({ align: 1, size: [0.86, Infinity] }),
        points: { show: false },
      },
      bound,
      bound,
      {
        scale: 'price',
        stroke: color('--accent'),
        width: 2.5,
        paths: stepped,
        points: { show: false },
      },
    ],
  };
}

function sizeOf(host: HTMLElement): { width: number; height: number } {
  return { width: Math.max(200, host.clientWidth), height: host.clientHeight };
}

/** Whether the person's colours are dark; a canvas has to be drawn anew when that changes. */
function useDark(): boolean {
  const [dark, setDark] = useState(() => matchMedia(DARK).matches);
  useEffect(() => {
    const query = matchMedia(DARK);
    const changed = (): void => setDark(query.matches);
    query.addEventListener('change', changed);
    return () => query.removeEventListener('change', changed);
  }, []);
  return dark;
}
const DARK = '(prefers-color-scheme: dark)';

/** The chart in words, for those who do not see it. */
function summary(slots: readonly ClosedSlot[], { timeZone, currency }: Microgrid): string {
  const priced = slots.filter((slot) => slot.clearingPriceMicroPerKwh !== null);
  const traded = slots.reduce((sum, slot) => sum + slot.tradedWh, 0);
  const [first, last] = [slots[0], slots.at(-1)];
  if (!first || !last) return 'No slot has closed yet.';
  const span = `${slots.length} slots from ${formatTime(first.slot, timeZone)} to ${formatTime(last.slotEnd, timeZone)}`;
  const latest = priced.at(-1);
  if (!latest) return `Price chart of ${span}: nothing was traded.`;
  const prices = priced.map((slot) => slot.clearingPriceMicroPerKwh!);
  const price = (micro: number): string => formatPrice(micro, currency);
  return (
    `Price chart of ${span}. Last price ${price(latest.clearingPriceMicroPerKwh!)} per kWh at ` +
    `${formatTime(latest.slot, timeZone)}, lowest ${price(Math.min(...prices))}, ` +
    `highest ${price(Math.max(...prices))}. ${formatEnergy(traded)} traded in all.`
  );
}
