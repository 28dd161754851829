// Whether a department's figures are true now: how far they reach, how complete they are, and why not.

import { moment } from "./format.js";

/**
 * {asOf, share, stale, why, waiting}: asOf in ms or null; share 0..100 or null; stale: the figures are not live any more;
 * why: the reason in Vietnamese; waiting: names of the silent sources.
 */
export function judge(department, now) {
  if (!department) return { asOf: null, share: null, stale: false, why: "", waiting: [] };
  const limit = department.silent_after_seconds * 1000;
  const sources = department.sources;
  if (!sources.length || department.as_of === null) return { asOf: null, share: null, stale: true, why: "chưa nhận được tin nào", waiting: [] };
  const heard = sources.filter((source) => source.known !== null && now - source.known <= limit);
  const waiting = sources.filter((source) => !heard.includes(source)).map((source) => source.name);
  const weigh = (list) => list.reduce((sum, source) => sum + source.usual, 0);
  const share = weigh(sources) > 0 ? (100 * weigh(heard)) / weigh(sources) : (100 * heard.length) / sources.length;
  const newest = Math.max(...sources.map((source) => source.known ?? 0));
  const asOf = department.as_of;
  if (!heard.length) return { asOf, share, stale: true, why: `không có tin mới từ ${moment(newest, now)}`, waiting };
  if (now - asOf > limit) return { asOf, share, stale: true, why: `tin về muộn, mới đến ${moment(asOf, now)}`, waiting };
  const why = waiting.length ? `chờ ${waiting.length} nguồn: ${waiting.join(", ")}` : "";
  return { asOf, share, stale: false, why, waiting };
}
