import { topicAndAbove } from './meter-profile.js';

/** Who uses a topic, or one above or below it: a meter, or its gateway. */
export type TopicOwners = ReadonlyMap<string, ReadonlySet<string>>;

/** Topics in use and given in the same request: those of two devices lie apart. */
export class Topics {
  private readonly given = new Map<string, Set<string>>();
  private readonly aboveGiven = new Map<string, Set<string>>();

  constructor(private readonly taken: TopicOwners) {}

  /** Whether nobody but its owner has it. */
  take(topic: string, owner: string): boolean {
    const above = topicAndAbove(topic);
    const owners = [
      ...(this.taken.get(topic) ?? []),
      ...(this.aboveGiven.get(topic) ?? []),
      ...above.flatMap((each) => [...(this.given.get(each) ?? [])]),
    ];
    noteOwner(this.given, topic, owner);
    for (const each of above) noteOwner(this.aboveGiven, each, owner);
    return owners.every((one) => one === owner);
  }
}

function noteOwner(owners: Map<string, Set<string>>, topic: string, owner: string): void {
  owners.set(topic, (owners.get(topic) ?? new Set()).add(owner));
}
