/** The mark: two roofs that share a wall, drawn in one line like a wave of current. */
import type { ReactNode } from 'react';

export function Logo({ size = 28 }: { size?: number }): ReactNode {
  return (
    <svg
      className="logo"
      width={size}
      height={size}
      viewBox="0 0 32 32"
      aria-hidden="true"
      focusable="false"
    >
      <path
        d="M2 24 10.5 9 16 18.6 21.5 9 30 24"
        fill="none"
        stroke="currentColor"
        strokeWidth="3"
        strokeLinejoin="round"
        strokeLinecap="round"
      />
      <circle className="logo-light" cx="16" cy="25" r="2.6" />
    </svg>
  );
}

/** A row of houses at dusk, some with light: the street that the log-in page looks out on. */
export function Street(): ReactNode {
  return (
    <svg
      className="street"
      viewBox="0 0 640 200"
      preserveAspectRatio="xMidYMax meet"
      aria-hidden="true"
      focusable="false"
    >
      <circle className="street-sun" cx="498" cy="62" r="30" />
      {HOUSES.map(({ x, width, wall, roof, panel }) => (
        <g key={x}>
          <path
            className="street-house"
            d={`M${x} 188V${wall}L${x + width / 2} ${roof}L${x + width} ${wall}V188Z`}
          />
          {panel && (
            <path
              className="street-panel"
              d={`M${x + width * 0.58} ${roof + (wall - roof) * 0.16}L${x + width * 0.93} ${
                roof + (wall - roof) * 0.86
              }`}
            />
          )}
        </g>
      ))}
      {WINDOWS.map(({ x, y, lit }) => (
        <rect
          key={`${x} ${y}`}
          className={lit ? 'street-window lit' : 'street-window'}
          x={x}
          y={y}
          width="13"
          height="17"
        />
      ))}
      <path className="street-wire" d="M0 188.5H640" />
    </svg>
  );
}

const HOUSES = [
  { x: 26, width: 104, wall: 122, roof: 76, panel: true },
  { x: 148, width: 86, wall: 108, roof: 64, panel: false },
  { x: 252, width: 118, wall: 126, roof: 84, panel: true },
  { x: 388, width: 92, wall: 112, roof: 70, panel: true },
  { x: 500, width: 112, wall: 124, roof: 80, panel: false },
];

const WINDOWS = [
  { x: 50, y: 138, lit: true },
  { x: 92, y: 138, lit: false },
  { x: 168, y: 124, lit: false },
  { x: 200, y: 124, lit: true },
  { x: 168, y: 154, lit: false },
  { x: 278, y: 142, lit: true },
  { x: 306, y: 142, lit: true },
  { x: 334, y: 142, lit: false },
  { x: 408, y: 128, lit: false },
  { x: 446, y: 128, lit: true },
  { x: 446, y: 158, lit: false },
  { x: 524, y: 142, lit: false },
  { x: 556, y: 142, lit: true },
  { x: 580, y: 142, lit: false },
];
