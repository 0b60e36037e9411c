/** A panel: a ruled, titled section that is loading, empty, failed, or shows what it is for. */
import { useId, type ReactNode } from 'react';
import type { ApiProblem } from '../problem.js';

interface PanelProps {
  title: string;
  name: string;
  /** A short remark at the end of the title's line. */
  remark?: ReactNode;
  children: ReactNode;
}

/** @param props.name becomes the class `panel-{name}` and the test id `panel-{name}` */
export function Panel({ title, name, remark, children }: PanelProps): ReactNode {
  const titleId = useId();
  return (
    <section
      className={`panel panel-${name}`}
      data-testid={`panel-${name}`}
      aria-labelledby={titleId}
    >
      <header className="panel-head">
        <h2 id={titleId}>{title}</h2>
        {remark !== undefined && <div className="panel-remark">{remark}</div>}
      </header>
      {children}
    </section>
  );
}

interface LoadedProps<T> {
  of: {
    data: T | undefined;
    loading: boolean;
    behind: boolean;
    problem: ApiProblem | undefined;
    reload: () => void;
  };
  /** Lines of the skeleton while nothing is there yet. */
  lines?: number;
  /** Shown instead of the content where `isEmpty` says so. */
  empty?: ReactNode;
  isEmpty?: (data: T) => boolean;
  children: (data: T) => ReactNode;
}

/** The content of a panel, or its skeleton, its emptiness, or its problem with a way to try again. */
export function Loaded<T>({ of, lines = 3, empty, isEmpty, children }: LoadedProps<T>): ReactNode {
  if (of.data === undefined) {
    if (of.problem) return <Trouble problem={of.problem} retry={of.reload} />;
    return <Skeleton lines={lines} />;
  }
  return (
    <div className="loaded" aria-busy={of.behind}>
      {of.problem && of.problem.status !== 0 && (
        <Trouble problem={of.problem} retry={of.reload} slight />
      )}
      {isEmpty?.(of.data) ? <Empty>{empty}</Empty> : children(of.data)}
    </div>
  );
}

export function Empty({ children }: { children: ReactNode }): ReactNode {
  return (
    <p className="empty" data-testid="empty">
      {children}
    </p>
  );
}

export function Skeleton({ lines }: { lines: number }): ReactNode {
  return (
    <div className="skeleton" data-testid="skeleton" role="status">
      <span className="unseen">Loading</span>
      {Array.from({ length: lines }, (_, line) => (
        <i key={line} aria-hidden="true" />
      ))}
    </div>
  );
}

interface TroubleProps {
  problem: ApiProblem;
  retry: () => void;
  /** The old data is still shown below. */
  slight?: boolean;
}

export function Trouble({ problem, retry, slight = false }: TroubleProps): ReactNode {
  return (
    <div className={slight ? 'trouble slight' : 'trouble'} data-testid="trouble" role="alert">
      <p>
        <strong>{slight ? 'Could not refresh.' : 'Could not load this.'}</strong> {problem.message}
      </p>
      <button type="button" className="quiet" onClick={retry}>
        Try again
      </button>
    </div>
  );
}
