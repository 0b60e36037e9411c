/** The regulator's page: efficiency by month where privacy allows it, and the programs' awards. */
import { useState, type ReactNode } from 'react';
import type { Award, EfficiencyMonth, Microgrid, Page, Program } from '../answers.js';
import type { Live } from '../live.js';
import { AwardList } from '../panels/award-list.js';
import { Efficiency, type Period } from '../panels/efficiency.js';
import { useSlotFairness } from '../fairness.js';
import { MarketFairnessPanel } from '../panels/market-fairness.js';
import { useResource } from '../resource.js';
import { OfMicrogrid } from './of-microgrid.js';

interface RegulatorPageProps {
  live: Live;
  microgridId: string;
}

export function RegulatorPage({ live }: RegulatorPageProps): ReactNode {
  return (
    <OfMicrogrid microgrid={live.microgrid}>
      {(known) => <Panels live={live} microgrid={known} />}
    </OfMicrogrid>
  );
}

function Panels({ live, microgrid }: { live: Live; microgrid: Microgrid }): ReactNode {
  const { api } = live;
  const id = microgrid.microgrid;
  const fairness = useSlotFairness(live, id);
  const [asked, setAsked] = useState<{ period: Period; times: number } | null>(null);
  // Every question stands in the households' access log: none is asked without a person's will.
  const efficiency = useResource(
    asked && `efficiency ${id} ${asked.period.from} ${asked.period.to}`,
    (signal) => {
      const { from, to } = asked?.period ?? {};
      const question = `microgrid=${id}&from=${from}&to=${to}`;
      return api.get<Page<EfficiencyMonth>>(`/v1/regulator/efficiency?${question}`, signal);
    },
    asked?.times ?? 0,
  );
  const path = `/v1/regulator/microgrids/${id}/programs`;
  const programs = useResource(
    path,
    async (signal) => (await api.list<Program>(path, signal)).items,
    live.feed.state.base,
  );
  const [chosen, setChosen] = useState<string | null>(null);
  const program =
    programs.data?.find((each) => each.program === chosen) ?? programs.data?.[0] ?? null;
  const awards = useResource(
    program ? `${path}/${program.program}/awards` : null,
    async (signal) =>
      (await api.list<Award>(`${path}/${program?.program ?? ''}/awards`, signal)).items,
    live.feed.state.versions.household,
  );
  return (
    <>
      <div className="band hero">
        <div className="within">
          <h1>{microgrid.name}</h1>
          <p className="hero-words">
            Of energy you see months, never days, and cells of at least 15 households. Each question
            you ask is written to an access log that the households can read. Of the market you see
            every slot’s price, and how much of the possible gain it reached.
          </p>
        </div>
      </div>
      <div className="within sheet regulator-sheet">
        <Efficiency
          asked={asked?.period ?? null}
          efficiency={efficiency}
          latest={lastMonth(microgrid.now)}
          onAsk={(period) => setAsked({ period, times: (asked?.times ?? 0) + 1 })}
        />
        <AwardList
          programs={programs}
          program={program}
          awards={awards}
          microgrid={microgrid}
          onProgram={setChosen}
        />
        <MarketFairnessPanel slots={fairness} microgrid={microgrid} />
      </div>
    </>
  );
}

/** The month before the one of `now`, in UTC as regulators ask: the last that can be over. */
function lastMonth(now: string): string {
  const at = new Date(now);
  return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() - 1)).toISOString().slice(0, 7);
}
