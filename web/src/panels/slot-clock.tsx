/** The current slot as a ring that fills, on the market's own clock. */
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { slotStartOf } from '../../../src/units/slot.js';
import type { Microgrid } from '../answers.js';
import { formatDay, formatSpan, formatTime } from '../format.js';
import { marketNow, paceOf, type MarketClock } from '../market-clock.js';

const RADIUS = 68;
const AROUND = 2 * Math.PI * RADIUS;
const TICK_MILLIS = 250;

interface SlotClockProps {
  microgrid: Microgrid;
  clock: MarketClock;
}

export function SlotClock({ microgrid, clock }: SlotClockProps): ReactNode {
  const now = useMarketNow(clock) ?? Date.parse(microgrid.now);
  const { timeZone, slotMinutes } = microgrid;
  const start = slotStartOf(now, slotMinutes);
  const end = start + slotMinutes * 60_000;
  const passed = (now - start) / (end - start);
  return (
    <section className="slot-clock" aria-labelledby="slot-clock-title" data-testid="slot-clock">
      <div className="ring" role="timer" aria-labelledby="slot-clock-title slot-clock-left">
        <svg viewBox="0 0 160 160" aria-hidden="true" focusable="false">
          {hourTicks(60 / slotMinutes)}
          <circle className="ring-ground" cx="80" cy="80" r={RADIUS} />
          <circle
            className="ring-passed"
            cx="80"
            cy="80"
            r={RADIUS}
            strokeDasharray={`${AROUND * passed} ${AROUND}`}
            transform="rotate(-90 80 80)"
          />
        </svg>
        <div className="ring-face">
          <b data-testid="market-time">{formatTime(now, timeZone)}</b>
          <span>{formatDay(now, timeZone)}</span>
        </div>
      </div>
      <div className="slot-words">
        <h2 id="slot-clock-title">
          Slot <span data-testid="slot-start">{formatTime(start, timeZone)}</span>–
          {formatTime(end, timeZone)}
        </h2>
        <p id="slot-clock-left">
          <b data-testid="slot-left">{formatSpan(end - now)}</b> left
        </p>
        {microgrid.clock === 'simulated' && <p className="slot-pace">{pace(clock)}</p>}
      </div>
    </section>
  );
}

/** The market's time, again and again, never going back within a slot's length. */
export function useMarketNow(clock: MarketClock): number | null {
  const shown = useRef<number | null>(null);
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = window.setInterval(() => {
      if (!document.hidden) tick((count) => count + 1);
    }, TICK_MILLIS);
    return () => window.clearInterval(timer);
  }, []);
  const estimate = marketNow(clock, Date.now());
  if (estimate !== null && (shown.current === null || goesOn(shown.current, estimate))) {
    shown.current = estimate;
  }
  return shown.current;
}

/** Forward always; back only when the estimate was wrong by more than a jitter could explain. */
function goesOn(shown: number, estimate: number): boolean {
  return estimate >= shown || shown - estimate > 5 * 60_000;
}

function pace(clock: MarketClock): string {
  const times = paceOf(clock);
  if (times === null || times < 1.5) return 'Simulated clock';
  // Steps arrive with jitter: two digits would be a false precision.
  const grain = times < 10 ? 1 : times < 50 ? 5 : 10;
  return `Simulated clock, about ${Math.round(times / grain) * grain} times as fast`;
}

function hourTicks(count: number): ReactNode {
  return Array.from({ length: count }, (_, index) => (
    <line
      key={index}
      className="ring-tick"
      x1="80"
      y1="1"
      x2="80"
      y2="5"
      transform={`rotate(${(360 / count) * index} 80 80)`}
    />
  ));
}
