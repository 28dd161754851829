// Turns the secret behind the # of a link into a cookie, and takes it out of the address before anything else happens.

const token = location.hash.slice(1);
const asked = new URLSearchParams(location.search);
history.replaceState(null, "", location.pathname + location.search);

function say(text) {
  document.getElementById("said").textContent = text;
}

/** Where to go: the kiosk words of the link (rotate, boards, theme) go along. */
function target(boards) {
  const query = asked.size ? `?${asked}` : "";
  return boards?.length ? `/d/${encodeURIComponent(boards[0])}${query}` : `/${query}`;
}

async function enter() {
  say("Đang đăng nhập");
  const answer = await fetch("/api/login", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }) });
  if (answer.ok) location.replace(target((await answer.json()).boards));
  else if (answer.status === 429) say("Địa chỉ này hỏi quá nhiều lần, hãy thử lại sau một phút.");
  else say("Liên kết này đã dùng, đã hết hạn hoặc đã bị thu hồi. Hãy xin liên kết mới.");
}

if (token && location.pathname === "/enter") enter().catch(() => say("Không nối được với máy chủ, hãy mở lại liên kết."));
