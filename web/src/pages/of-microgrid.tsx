/** A page about one microgrid: what it shows once the microgrid is known, and what stands there before. */
import type { ReactNode } from 'react';
import type { Microgrid } from '../answers.js';
import { Skeleton, Trouble } from '../panels/panel.js';
import type { Resource } from '../resource.js';

interface OfMicrogridProps {
  microgrid: Resource<Microgrid>;
  children: (microgrid: Microgrid) => ReactNode;
}

export function OfMicrogrid({ microgrid, children }: OfMicrogridProps): ReactNode {
  if (microgrid.data) return children(microgrid.data);
  return (
    <div className="within sheet">
      {microgrid.problem ? (
        <Trouble problem={microgrid.problem} retry={microgrid.reload} />
      ) : (
        <Skeleton lines={6} />
      )}
    </div>
  );
}
