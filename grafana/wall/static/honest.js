// Whether a department's figures are true now: how far they reach, how complete they are, and why not.

import { moment } from "./format.js";

const UNANSWERED = 3_000; // a source that did not answer for longer is away, not just slow
const UNASKED = 8_500; // a connector says every two seconds that it asked; when it says nothing for longer, it hangs or has stopped
const OWED = 10_000; // figures that follow their events later than this are behind

/**
 * {asOf, share, stale, why, waiting}: asOf in ms or null; share 0..100 or null; stale: the figures are not live any more;
 * why: the reason in Vietnamese; waiting: names of the silent sources.
 */
export function judge(department, now) {
  if (!department) return { asOf: null, share: null, stale: false, why: "", waiting: [] };
  const limit = department.silent_after_seconds * 1000;
  const { sources, as_of: asOf, owed } = department;
  if (!sources.length || asOf === null) return { asOf: null, share: null, stale: true, why: "chưa nhận được tin nào", waiting: [] };
  const heard = sources.filter((source) => alive(source, now, limit));
  const silent = sources.filter((source) => !heard.includes(source)), waiting = silent.map((source) => source.name);
  const weigh = (list) => list.reduce((sum, source) => sum + source.usual, 0);
  const behind = owed && now - owed.since > OWED ? owed : null;
  const whole = weigh(sources) > 0 ? (100 * weigh(heard)) / weigh(sources) : (100 * heard.length) / sources.length;
  const share = whole * (1 - (behind?.share ?? 0));
  const away = silent.filter((source) => unanswered(source)).map((source) => source.name);
  if (!heard.length) {
    const since = moment(Math.max(...sources.map(last)), now);
    return { asOf, share, stale: true, why: away.length ? `nguồn không trả lời từ ${since}: ${away.join(", ")}` : `không có tin mới từ ${since}`, waiting };
  }
  if (now - asOf > limit) return { asOf, share, stale: true, why: `tin về muộn, mới đến ${moment(asOf, now)}`, waiting };
  const why = waiting.length ? `chờ ${waiting.length} nguồn: ${waiting.join(", ")}` : behind ? `đang tính bù ${behind.events} tin` : "";
  return { asOf, share, stale: false, why, waiting };
}

/** The last sign of life of a source: news, or an answer without news. */
export function last(source) {
  return Math.max(source.known ?? 0, source.asked ?? 0);
}

function unanswered(source) {
  return (source.failed ?? 0) - last(source) > UNANSWERED;
}

/** A source that is asked is away when it does not answer, or is not asked any more; one that speaks by itself, when it is silent too long. */
function alive(source, now, limit) {
  if (unanswered(source)) return false;
  return now - last(source) <= (source.asked ? Math.max(UNASKED, 3 * source.every) : limit);
}
