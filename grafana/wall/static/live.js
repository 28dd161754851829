// Server-sent events of one board: hands on each wave, knows the server's clock, says when it is not live, reconnects by itself.

const SILENT_AFTER = 15_000;
const AGAIN_AFTER = [500, 1000, 2000, 4000, 8000];

export class Live {
  #address; #onWave; #source = null; #failures = 0; #heard = 0; #said = null; #since = null; #closed = false;

  /** asked: the board's variables and period; onWave({state, panels}) is called for every wave. */
  constructor(board, asked, onWave) {
    this.#address = `/api/live?${new URLSearchParams([["board", board], ...asked])}`;
    this.#onWave = onWave;
  }

  /** The server's time now, in ms: screens' own clocks are often wrong; a replay's goes at its own rate, to its end. */
  now() {
    const { now, at, rate, until } = this.#said ?? { now: Date.now(), at: Date.now(), rate: 1, until: Infinity };
    return Math.min(now + (Date.now() - at) * rate, until);
  }

  /** Whether the server was heard lately; else since when not (server's time). */
  get live() {
    return this.#source?.readyState === EventSource.OPEN && performance.now() - this.#heard < SILENT_AFTER;
  }

  get since() {
    return this.#since;
  }

  open() {
    this.#source?.close();
    const source = new EventSource(this.#address);
    this.#source = source;
    this.#heard = performance.now();
    source.addEventListener("wave", (event) => {
      const wave = JSON.parse(event.data);
      const { now, rate = 1, replay } = wave.state;
      this.#said = { now, at: Date.now(), rate, until: replay?.until ?? Infinity };
      this.#heard = performance.now();
      this.#since = now;
      this.#failures = 0;
      this.#onWave(wave);
    });
    source.addEventListener("again", () => this.#again());
    source.addEventListener("error", () => this.#again());
  }

  close() {
    this.#closed = true;
    this.#source?.close();
  }

  #again() {
    this.#source.close();
    if (this.#closed) return;
    const wait = AGAIN_AFTER[Math.min(this.#failures++, AGAIN_AFTER.length - 1)];
    setTimeout(() => this.open(), wait * (0.75 + Math.random() / 2));
  }

  /** Call now and then: a connection that hangs without an error, opened or still opening, is opened anew. */
  check() {
    if (this.#source && this.#source.readyState !== EventSource.CLOSED && performance.now() - this.#heard > SILENT_AFTER) this.open();
  }
}
