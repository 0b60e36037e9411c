/** Those that start programs and browsers take longest: begun last they would leave a worker idle. */
const SLOW = [/\/test\/flow\//, /\.e2e\.spec\.ts$/, /\/test\/verify\//, /\/test\/settlement\//];

/** In which order Jest runs the files: the same on every machine. */
export default class SlowestFirst {
  sort(tests) {
    const place = ({ path }) => {
      const rank = SLOW.findIndex((pattern) => pattern.test(path));
      return `${rank < 0 ? SLOW.length : rank} ${path}`;
    };
    return [...tests].sort((a, b) => (place(a) < place(b) ? -1 : 1));
  }

  shard(tests, { shardIndex, shardCount }) {
    return this.sort(tests).filter((_, at) => at % shardCount === shardIndex - 1);
  }

  allFailedTests(tests) {
    return tests;
  }

  cacheResults() {
    // Nothing is remembered between runs.
  }
}
