/** A set that forgets what was added first once it is full: for caches that must not grow. */
export class BoundedSet {
  private readonly members = new Set<string>();

  constructor(private readonly capacity: number) {}

  has(member: string): boolean {
    return this.members.has(member);
  }

  add(member: string): void {
    if (this.members.size >= this.capacity) {
      const [oldest] = this.members;
      if (oldest !== undefined) this.members.delete(oldest);
    }
    this.members.add(member);
  }
}
